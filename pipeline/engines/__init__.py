"""Programs that cannot share our environment, each a folder: a lock and a worker.

The modules on this floor are those that the app and the workers share, of the standard library alone; nothing of the
app imports from the folders.
"""
