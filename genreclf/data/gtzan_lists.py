"""GTZAN's fault-filtered lists of training, validation and test clips (Kereliuk et al. 2015)."""

from collections.abc import Sequence

from genreclf.data.clip_name import gtzan_name
from genreclf.errors import GenreclfError


def published(names: Sequence[str], fold: int | None = None) -> list[str | None]:
    """The list that each clip is on, as torchaudio has them; no artist is on two of the lists.

    Accepts the usual spellings: blues.00000.wav, blues00000.png. Raises GenreclfError if no clip is listed, and for a
    `fold`, as there is one split.
    """
    if fold is not None:
        raise GenreclfError("split.fold: GTZAN has one published split; remove it")
    found = listed(names)
    if not any(found):
        raise GenreclfError(f"split=published: no clip is in GTZAN's lists (first: {names[0]}); use split=hashed")
    return found


def listed(names: Sequence[str]) -> list[str | None]:
    """The same for the clips of any data set: None for each clip that is on none of GTZAN's lists."""
    split_of = {name: split for split, members in _published_lists().items() for name in members}
    return [split_of.get(gtzan_name(name)) for name in names]


def published_missing(names: Sequence[str]) -> dict[str, list[str]]:
    """By split, the clips of GTZAN's fault-filtered lists that are not among `names`."""
    present = {gtzan_name(name) for name in names}
    return {split: [name for name in members if name not in present] for split, members in _published_lists().items()}


def _published_lists() -> dict[str, list[str]]:
    from torchaudio.datasets import gtzan  # imported here: nothing else in the split needs torchaudio

    return {"train": gtzan.filtered_train, "val": gtzan.filtered_valid, "test": gtzan.filtered_test}
