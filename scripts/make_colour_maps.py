"""Writes genreclf/frontend/colour_maps.npz: matplotlib's colour maps, so that prediction does not need matplotlib.

python scripts/make_colour_maps.py
"""

from pathlib import Path

import numpy as np
from matplotlib import colormaps

FILE = Path(__file__).parent.parent / "genreclf" / "frontend" / "colour_maps.npz"
FIRST = ("magma", "viridis", "inferno", "plasma")  # of maps that share a picture's colours, the first is chosen
LEFT_OUT = ("flag", "prism")  # these repeat their colours many times


def colour_maps() -> tuple[list[str], np.ndarray]:
    """Returns names of M maps and (M, 2, 256, 3) uint8 RGB: as drawn by imshow (truncated) and pcolormesh (rounded).

    Leaves out evenly spaced grey maps, reversed maps, which have the same colours, and aliases of a map.
    """
    names: list[str] = []
    tables: list[np.ndarray] = []
    for name in [*FIRST, *sorted(set(colormaps) - {*FIRST, *LEFT_OUT})]:
        colours = colormaps[name](np.linspace(0, 1, 256))[:, :3] * 255
        table = np.stack([colours.astype(np.uint8), np.rint(colours).astype(np.uint8)])
        known = any(np.array_equal(table, other) for other in tables)
        even_grey = (table == table[..., :1]).all() and len(np.unique(table[1])) == 256
        if not (known or even_grey or name.endswith("_r")):
            names.append(name)
            tables.append(table)
    return names, np.stack(tables)


if __name__ == "__main__":
    names, tables = colour_maps()
    np.savez_compressed(FILE, names=np.array(names), tables=tables)
    print(f"{len(names)} maps, {FILE.stat().st_size:,} bytes: {FILE}")
