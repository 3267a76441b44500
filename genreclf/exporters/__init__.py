"""Trained models as files: bundles, and exports that run without this package (TorchScript, ONNX and torch.export)."""
