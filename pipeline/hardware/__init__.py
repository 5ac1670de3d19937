"""What runs can be carried by, how fast, and for how much."""
