"""Who a channel is, across recordings."""
