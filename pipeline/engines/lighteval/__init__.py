"""The evaluation engine: lighteval 0.13.0 in an environment of its own."""
