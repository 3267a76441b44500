"""Trained nets as files that run without this package: TorchScript, ONNX, torch.export."""
