"""The nets: two backbones, the temporal layers, the classifier built of them, and the baselines."""
