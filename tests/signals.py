"""Short waveforms at 22,050 Hz for comparing implementations of the front end."""

import numpy as np

RATE_HZ = 22_050


def _signals() -> dict[str, np.ndarray]:
    rng, time = np.random.default_rng(0), np.arange(3 * RATE_HZ) / RATE_HZ
    return {
        "noise": rng.normal(0, 0.1, len(time)),
        "chirp": 0.5 * np.sin(2 * np.pi * (30 * time + 1_800 * time**2)),
        "clicks": (np.arange(len(time)) % 7_001 == 500) * 0.9,
        "quiet sine": 1e-3 * np.sin(2 * np.pi * 440 * time),
        "constant": np.full(len(time), 0.25),
        "loud then quiet": rng.normal(0, 1, len(time)) * np.where(time < 1, 1, 1e-4),
        "one sample": np.array([0.5]),
        "less than a hop": rng.normal(0, 0.1, 511),
        "a hop": rng.normal(0, 0.1, 512),
        "less than a window": np.sin(2 * np.pi * 1_000 * time[:2_047]),
    }


SIGNALS = {name: samples.astype(np.float32) for name, samples in _signals().items()}


def assert_within_a_level(levels: np.ndarray, expected: np.ndarray) -> None:
    assert levels.dtype == np.uint8
    assert levels.shape == expected.shape
    assert np.abs(levels.astype(int) - expected).max() <= 1
