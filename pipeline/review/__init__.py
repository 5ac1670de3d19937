"""Putting pairs before annotators in Argilla and reading their answers back."""
