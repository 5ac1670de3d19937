"""Doubles of services that tests cannot reach: real servers that unmodified clients speak to."""
