"""Everything the product does; nothing here knows about the user interface."""

__version__ = "0.1.0"
