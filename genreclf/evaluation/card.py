"""A bundle's model card: README.md in Markdown, as model hubs show it."""

import re
from typing import Any

from genreclf.errors import one_line
from genreclf.evaluation.report import command_line, range_of, temperature_given
from genreclf.page import render_text

TEMPLATE = "evaluation/card.md.jinja"
PLACES = ("data.path", "data.table", "run", "cache")  # and whatever looks like a path


def model_card(metrics: dict[str, dict[str, Any]]) -> str:
    """The card of a model from what `evaluate` wrote of it, by split; at least one. Class names may hold any text."""
    facts = next(iter(metrics.values()))
    return render_text(
        TEMPLATE,
        m=facts,
        by_split=metrics,
        command=command_line("train", [_without_places(word) for word in facts["trained_with"]]),
        given=temperature_given(facts["trained_with"]),
        range_of=range_of,
        plain=_plain,
    )


def _without_places(override: str) -> str:
    """A card is passed on: where its maker keeps the music is nobody's business."""
    key, _, value = override.partition("=")
    return f"{key}=..." if key in PLACES or set(value) & set("/\\~") else override


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([\\`*_{}\[\]<>#|~&!$])", r"\\\1", one_line(" ".join(text.split())))
