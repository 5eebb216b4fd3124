"""From raw files to Recordings: `base` is the contract, `convert` the way into a store."""
