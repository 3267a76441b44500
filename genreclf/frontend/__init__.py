"""Turns a file into the segments that a model reads: decoding, log-mel spectrograms, segmentation. NumPy only."""
