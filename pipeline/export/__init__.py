"""Pairs as a dataset: files, card, publication."""
