"""Trained models as users pass them on: bundles, prediction and export."""
