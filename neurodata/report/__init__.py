"""Pages a person can judge by eye."""
