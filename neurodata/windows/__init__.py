"""Which stretches of time are learned from and scored; no torch here."""
