"""Catalogue of tasks: Lightning modules, each one thing that can be learned."""
