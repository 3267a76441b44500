"""Small pictures that the front end accepts as spectrograms of music."""

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from genreclf.frontend.picture import write_picture


def rhythm(columns: int) -> np.ndarray:
    """Returns a rhythm to add to noise, (columns,) uint8; without one, noise does not count as music."""
    return 40 * (np.arange(columns) % 12 < 4).astype(np.uint8)


def tiny_picture(columns: int, rng: np.random.Generator) -> np.ndarray:
    """Returns rhythmic noise, louder in the bass, (128, columns) uint8 levels. Pictures of plain noise are left out."""
    falling = np.linspace(200, 60, 128)[:, None]
    return (falling + rhythm(columns) + rng.normal(0, 15, (128, columns))).clip(0, 255).astype(np.uint8)


def write_bands(folder: Path, brightness: Sequence[int] = (100,) * 6) -> Path:
    """Writes three genres with a picture per brightness: rhythmic noise and a brighter band that marks the genre."""
    rng = np.random.default_rng(0)
    for position, genre in enumerate(("low", "middle", "high")):
        (folder / genre).mkdir()
        for number, more in enumerate(brightness):
            levels = rng.integers(0, 80, (128, 260), dtype=np.uint8) + rhythm(260)
            levels[40 * position : 40 * position + 30] += more
            write_picture(folder / genre / f"{number}.png", levels)
    return folder


def write_noise_pictures(folder: Path, names: Sequence[str], columns: int = 300) -> None:
    """Writes pictures with these names below `folder`, each with different noise."""
    rng = np.random.default_rng(0)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_picture(folder / name, tiny_picture(columns, rng))


def save_empty(figure: object, file: Path | BinaryIO, **options: object) -> None:
    """Takes the place of Figure.savefig, which is slow, where no test looks at the plot."""
    if isinstance(file, Path):
        file.touch()
