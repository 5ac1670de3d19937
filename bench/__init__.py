"""Measurements, each against a baseline run side by side: `make bench`, or `python -m bench NAME …`."""
