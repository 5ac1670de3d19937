"""What carries a run to its end: this machine, or a Job."""
