"""Catalogue of analyses: pure functions of arrays, recordings and saved results."""
