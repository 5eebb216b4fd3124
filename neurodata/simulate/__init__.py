"""Synthetic recordings with known truth, written in the field's raw formats."""
