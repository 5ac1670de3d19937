"""From a file or a dataset of the Hub to the pairs of a project."""
