"""Deploys this program as a Space: a link to share."""
