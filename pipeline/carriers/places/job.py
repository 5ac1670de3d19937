"""A Hugging Face Job: hardware that is rented by the minute."""

from pipeline.runs.places import Carrier

JOB = Carrier("job", title="hardware.where.job", carry="pipeline.carriers.job:carry", bills=True, signed=True)
