"""Scores predictions, writes reports, and compares systems."""
