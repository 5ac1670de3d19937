"""The carriers there are, one file each; see `pipeline.runs.places.Carrier`."""
