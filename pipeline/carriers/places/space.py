"""An AutoTrain Space: a Docker Space with AutoTrain inside, made for one run and paused when it is over."""

from pipeline.runs.places import Carrier

SPACE = Carrier("space", title="hardware.where.space", carry="pipeline.carriers.space:carry", bills=True, signed=True)
