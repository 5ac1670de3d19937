"""The doctor's checks, one file each; see `pipeline.train.doctor.check`."""
