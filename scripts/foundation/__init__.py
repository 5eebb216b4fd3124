"""What `score_foundation.py` runs: the six rows of docs/results/foundation.md."""
