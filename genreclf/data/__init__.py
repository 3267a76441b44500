"""Turns files into batches: data sets, spectrogram stores, splits, audits, augmentation."""
