"""Keeping what is relevant and good."""
