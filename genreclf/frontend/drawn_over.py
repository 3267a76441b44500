"""What is drawn over a plot: grid lines, curves, text. The levels beneath are taken from those nearest."""

import numpy as np

_STANDS_OUT = 12.0  # of 255: a quarter is farther, in lines and text by 17 to 60, between resized pixels by 1 to 5
_THIN = 1 / 16  # of a plot's smaller side: how far it is to what is not covered, in the middle of a legend
_THICK = 0.05  # of what is covered, at most: where lines cross


def is_drawn_over(covered: np.ndarray, distance: np.ndarray) -> bool:
    """Whether (height, width) places, with distances from a map's colours, are of lines and text over a plot.

    Photos and covers have large areas off the map, and what was resized is near it.
    """
    if not covered.any() or np.quantile(distance[covered], 0.75) < _STANDS_OUT:
        return False
    far = np.minimum(_nearest(covered)[1], _nearest(covered.T)[1].T)[covered]
    return bool((far > _THIN * min(covered.shape)).mean() <= _THICK)


def filled(levels: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """(height, width) levels, with those that are covered replaced by the nearest others of their row or column.

    Of equally near ones, that of the row. At least one must not be covered.
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
    """For each place of (rows, columns): the nearest column of its row that is not covered, and how far it is."""
    columns = np.arange(covered.shape[1])
    none = 2 * covered.shape[1]
    before = np.maximum.accumulate(np.where(covered, -none, columns), axis=1)
    after = np.minimum.accumulate(np.where(covered, 2 * none, columns)[:, ::-1], axis=1)[:, ::-1]
    nearest = np.where(columns - before <= after - columns, before, after)
    return np.clip(nearest, 0, covered.shape[1] - 1), np.abs(nearest - columns)
