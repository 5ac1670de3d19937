"""Everything the product does; nothing here knows about the user interface."""
