"""The nets: two backbones, the temporal stack, and the classifier that joins them."""
