"""Scoring models and comparing them."""
