"""Algorithms, one file each; see `docs/add-an-algorithm.md`."""
