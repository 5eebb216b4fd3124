"""From windows to tensors: the first place torch appears."""
