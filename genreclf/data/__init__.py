"""From files to batches: audio, spectrograms, pictures, the store, splits, views and augmentation."""
