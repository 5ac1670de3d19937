"""The layouts of preference data, one file each; see `pipeline.dataset.layout`."""
