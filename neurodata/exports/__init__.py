"""Recordings as the objects and files of other libraries."""
