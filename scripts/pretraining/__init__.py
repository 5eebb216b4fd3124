"""Recipes of the pretrained checkpoints, and what reads them."""
