"""Small pictures that a front end takes for spectrograms of music."""

import numpy as np


def tiny_picture(columns: int, rng: np.random.Generator) -> np.ndarray:
    """(128, columns) uint8 levels of noise that is louder in the bass; a picture of mere noise is left out of data."""
    falling = np.linspace(200, 60, 128)[:, None]
    return (falling + rng.normal(0, 15, (128, columns))).clip(0, 255).astype(np.uint8)
