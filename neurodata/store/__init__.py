"""Recordings on disk: chunked Zarr v3 groups, store formats 1 and 2."""
