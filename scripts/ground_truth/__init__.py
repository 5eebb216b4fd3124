"""Studies of the encoder on recordings whose truth is known, that `score_ground_truth.py` runs."""
