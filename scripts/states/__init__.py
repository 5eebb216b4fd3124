"""Studies of hidden states that `score_states.py` runs."""
