"""One recording in memory: the schema."""
