"""Small pictures that a front end takes for spectrograms of music."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from genreclf.frontend.picture import write_picture


def rhythm(columns: int) -> np.ndarray:
    """(columns,) uint8 to add to noise, which is no music without one."""
    return 40 * (np.arange(columns) % 12 < 4).astype(np.uint8)


def tiny_picture(columns: int, rng: np.random.Generator) -> np.ndarray:
    """(128, columns) uint8 levels of noise in a rhythm, louder in the bass; a picture of mere noise is left out."""
    falling = np.linspace(200, 60, 128)[:, None]
    return (falling + rhythm(columns) + rng.normal(0, 15, (128, columns))).clip(0, 255).astype(np.uint8)


def write_bands(folder: Path, brightness: Sequence[int] = (100,) * 6) -> Path:
    """Three genres of a picture for each brightness: noise in a rhythm, and a brighter band: its place is the genre."""
    rng = np.random.default_rng(0)
    for position, genre in enumerate(("low", "middle", "high")):
        (folder / genre).mkdir()
        for number, more in enumerate(brightness):
            levels = rng.integers(0, 80, (128, 260), dtype=np.uint8) + rhythm(260)
            levels[40 * position : 40 * position + 30] += more
            write_picture(folder / genre / f"{number}.png", levels)
    return folder


def write_noise_pictures(folder: Path, names: Sequence[str], columns: int = 300) -> None:
    """Pictures of these names below `folder`, each of other noise."""
    rng = np.random.default_rng(0)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_picture(folder / name, tiny_picture(columns, rng))
