"""Training: AutoTrain 0.8.36's ORPO trainer in its own environment."""
