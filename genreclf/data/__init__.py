"""From files to batches: data sets, spectrogram stores, splits, audits, augmentation."""
