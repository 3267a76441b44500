"""Short sounds that the front end accepts as music."""

import numpy as np

from genreclf.frontend.audio import SAMPLE_RATE_HZ


def music_like(seconds: float, rng: np.random.Generator, rate_hz: int = SAMPLE_RATE_HZ) -> np.ndarray:
    """Returns rhythmic noise at about -20 dB, (samples,) float64. Steady noise does not count as music."""
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    return rng.normal(0, 0.1, len(time)) * np.where(time % 0.4 < 0.1, 1.5, 0.5)


def tiny_sound(kind: str, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Returns a tone, click or noise, (samples,) float64 at 22,050 Hz."""
    time = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    if kind == "tone":
        trembling = 0.3 + 0.2 * np.sin(2 * np.pi * 3 * time)  # a steady tone is a test tone, which is left out
        return trembling * np.sin(2 * np.pi * rng.uniform(100, 2_000) * time) + rng.normal(0, 0.01, len(time))
    if kind == "click":
        return (np.arange(len(time)) % rng.integers(2_000, 9_000) < 20) * 0.8 + rng.normal(0, 0.001, len(time))
    return music_like(seconds, rng)
