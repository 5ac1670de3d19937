"""Consistent snapshots of the home in a mounted bucket, which is no disk, and a fresh home restored from them."""
