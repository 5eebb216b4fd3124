"""Catalogue of scores: ``name.py`` holds ``name(truth, prediction) -> float``."""
