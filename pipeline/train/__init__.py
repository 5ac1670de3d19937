"""Training by preference."""
