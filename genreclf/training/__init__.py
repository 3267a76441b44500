"""Training: the Lightning module, metrics, callbacks, the baselines' fits, and the run's record."""
