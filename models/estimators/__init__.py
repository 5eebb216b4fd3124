"""Catalogue of estimators: scikit-learn faces of models."""
