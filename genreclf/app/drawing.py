"""Draws bars as HTML. Text remains text, so it fits any screen and supports any script."""

from collections.abc import Mapping, Sequence

from genreclf.app.words import ranked
from genreclf.inference.predictor import Prediction
from genreclf.page import escaped

_LEAST_BAR = 0.004  # least share of the width, so that each genre's colour is visible


def bars(
    prediction: Prediction, classes: Sequence[str], colour: Mapping[str, str], thresholds: Sequence[float] | None = None
) -> str:
    """Returns HTML with a bar per genre, the most probable first, that a screen reader can read.

    `colour` is from `colours`. The bars show marks at the classes' `thresholds`, if given.
    """
    threshold_of = dict(zip(classes, thresholds or (), strict=thresholds is not None))
    said = {name: f", threshold {threshold:.0%}" for name, threshold in threshold_of.items()}
    marks = {name: _mark(threshold) for name, threshold in threshold_of.items()}
    rows = "".join(
        f'<div role="listitem" aria-label="{escaped(name)}: {probability:.0%}{said.get(name, "")}" '
        'style="display:flex;align-items:center;gap:.6rem;margin:.2rem 0;font-size:.95rem">'
        f'<span style="width:6.2rem;overflow-wrap:anywhere;unicode-bidi:isolate">{escaped(name)}</span>'
        '<span style="flex:1;position:relative;background:light-dark(#e3e0da,#30343c);border-radius:3px;height:.85rem">'
        f'<span style="display:block;width:{max(probability, _LEAST_BAR):.1%};background:{colour[name]};height:100%;'
        f'border-radius:3px"></span>{marks.get(name, "")}</span>'
        f'<span style="width:3rem;text-align:right;font-variant-numeric:tabular-nums">{probability:.0%}</span></div>'
        for name, probability in ranked(prediction, classes)
    )
    return f'<div role="list" aria-label="probability of each genre">{rows}</div>'


def _mark(threshold: float) -> str:
    return (
        f'<span style="position:absolute;left:{threshold:.1%};top:-.15rem;bottom:-.15rem;width:2px;'
        'background:light-dark(#1b1b1b,#f4f4f4)"></span>'
    )
