"""Detects what is drawn over a plot (grid lines, curves, text), and fills in the nearest levels there."""

import numpy as np

_STANDS_OUT = 12.0  # of 255: the upper quartile of distances is 17 to 60 for lines and text, 1 to 5 for resized pixels
_THIN = 1 / 16  # of a plot's smaller side: the largest distance to a place not covered, in the middle of a legend
_THICK = 0.05  # largest share of the covered places that are farther, where lines cross


def is_drawn_over(covered: np.ndarray, distance: np.ndarray) -> bool:
    """Returns whether covered (height, width) places are lines and text over a plot, by distances from a map's colours.

    Photos and covers have large areas far from the map, and resized plots only small distances.
    """
    if not covered.any() or np.quantile(distance[covered], 0.75) < _STANDS_OUT:
        return False
    far = np.minimum(_nearest(covered)[1], _nearest(covered.T)[1].T)[covered]
    return bool((far > _THIN * min(covered.shape)).mean() <= _THICK)


def grid_lines(distance: np.ndarray) -> np.ndarray:
    """Returns the rows and columns of a resized plot that are mostly far from its map: (height, width) bool."""
    far = distance > _STANDS_OUT
    return np.asarray((far.mean(axis=1, keepdims=True) > 0.5) | (far.mean(axis=0, keepdims=True) > 0.5))


def filled(levels: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """Replaces the covered ones of (height, width) levels by the nearest other level in their row or column.

    If both are equally near, the row's is used. At least one level must not be covered.
    """
    while covered.any():  # once, and once more where covered rows and columns cross
        along_row, far_along_row = _nearest(covered)
        along_column, far_along_column = (result.T for result in _nearest(covered.T))
        in_row = np.take_along_axis(levels, along_row, axis=1)
        in_column = np.take_along_axis(levels, along_column, axis=0)
        levels = np.where(far_along_row <= far_along_column, in_row, in_column)
        covered = np.outer(covered.all(axis=1), covered.all(axis=0))
    return levels


def _nearest(covered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns, for each place of (rows, columns), the nearest column not covered in its row, and the distance to it."""
    columns = np.arange(covered.shape[1])
    none = 2 * covered.shape[1]
    before = np.maximum.accumulate(np.where(covered, -none, columns), axis=1)
    after = np.minimum.accumulate(np.where(covered, 2 * none, columns)[:, ::-1], axis=1)[:, ::-1]
    nearest = np.where(columns - before <= after - columns, before, after)
    return np.clip(nearest, 0, covered.shape[1] - 1), np.abs(nearest - columns)
