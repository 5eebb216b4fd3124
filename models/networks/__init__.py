"""Catalogue of networks: plain ``nn.Module``s built from a ``DataSpec``."""
