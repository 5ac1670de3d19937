"""Programs that cannot share our environment, each a folder: a lock and a self-contained worker."""
