"""Recordings on disk: chunked Zarr v3 groups, store format 1."""
