"""The nets: two backbones, the temporal layers, the classifier built from them, and the baselines."""
