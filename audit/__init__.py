"""What is known of holes in the packages of our locks: `python -m audit`."""
