"""Tasks, one file each; see `docs/add-a-task.md`."""
