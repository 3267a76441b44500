"""The label of a clip: its class; with task=multilabel all of its genres, as tables write them."""

from genreclf.inference.task import MULTILABEL
from genreclf.tags.plan import join_genres, split_genres


def genres_of(label: str, task: str) -> tuple[str, ...]:
    """The genres in a label: itself, or those that it joins."""
    return split_genres(label) if task == MULTILABEL else (label,)


def normal_label(cell: str, task: str) -> str:
    """The label that a table's cell, or a folder's name, means: several genres are in alphabetical order, each once."""
    return join_genres(sorted(set(genres_of(cell, task))))
