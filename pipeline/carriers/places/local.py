"""This machine."""

from pipeline.runs.places import LOCAL, Carrier

MACHINE = Carrier(LOCAL, title="hardware.where.local", carry="pipeline.carriers.local:carry", here=True)
