"""Runs: the ledger, the supervisors, and what carries a run."""
