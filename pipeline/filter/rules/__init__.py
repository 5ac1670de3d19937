"""The rules of a recipe, one file each; see `pipeline.filter.rule`."""
