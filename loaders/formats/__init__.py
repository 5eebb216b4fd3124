"""Catalogue of file formats a laboratory's own recordings come in."""
