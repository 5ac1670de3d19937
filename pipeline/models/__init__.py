"""A base model by its name: where it is, its shape, its tokens."""
