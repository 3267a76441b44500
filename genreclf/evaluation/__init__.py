"""Scores of predictions, their reports, and comparisons of systems."""
