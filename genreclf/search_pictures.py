"""Plots of a search: its history, and the importance of each key."""

from pathlib import Path

import numpy as np
import optuna
from matplotlib.ticker import MaxNLocator
from optuna.study import StudyDirection
from optuna.trial import TrialState

from genreclf.plot_text import new_plot

HISTORY, IMPORTANCE = "history.png", "importance.png"
_BLUE, _ORANGE = "#0072b2", "#d55e00"


def draw_search(study: optuna.Study, objective: str, folder: Path) -> list[Path]:
    """Draws the history and, if at least two trials have finished, the importance of the keys. Returns the files."""
    draw_history(study, objective, folder / HISTORY)
    if len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))) < 2:
        return [folder / HISTORY]
    draw_importance(optuna.importance.get_param_importances(study), objective, folder / IMPORTANCE)
    return [folder / HISTORY, folder / IMPORTANCE]


def draw_history(study: optuna.Study, objective: str, path: Path) -> None:
    """Draws the objective of each finished trial, and the best so far."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    numbers, values = [trial.number for trial in trials], np.array([trial.value for trial in trials])
    best = np.minimum if study.direction == StudyDirection.MINIMIZE else np.maximum
    with new_plot(path, 6, 3.6) as figure:
        axes = figure.subplots()
        axes.plot(numbers, values, ".", color=_BLUE, label="trial")
        axes.step(numbers, best.accumulate(values), where="post", color=_ORANGE, label="best so far")
        axes.set(xlabel="trial", ylabel=f"validation {objective.replace('_', '-')}")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)


def draw_importance(importance: dict[str, float], objective: str, path: Path) -> None:
    """Draws a bar for each key, the most important one on top. The shares sum to 1."""
    with new_plot(path, 6, 1 + 0.35 * len(importance)) as figure:
        axes = figure.subplots()
        bars = axes.barh(list(importance), list(importance.values()), color=_BLUE)
        axes.bar_label(bars, fmt="%.2f", padding=3)
        axes.invert_yaxis()
        axes.set(xlim=(0, 1.1), xlabel=f"importance for the validation {objective.replace('_', '-')}")
