"""Catalogue of published datasets: one file each, a data sheet with facts a test can check."""
