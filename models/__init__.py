"""Networks (what is computed), tasks (what is learned), and all that trains, saves and compares them."""
