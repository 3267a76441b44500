"""Prediction with a trained model, on NumPy and onnxruntime."""
