"""Pure functions: test-time augmentation, scores and pictures of them."""
