"""Catalogue of checkpoints that ship inside the package, one folder each."""
