import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from genreclf.data.artists import artist_key
from genreclf.data.groups import artist_keys, conflicts, merge_groups
from genreclf.data.table import ClipMetadata, read_table

KEYS = st.lists(st.tuples(*[st.sampled_from([None, *"abcdefgh"])] * 3), min_size=1, max_size=40)


def partition(groups: list) -> set[frozenset[int]]:
    return {frozenset(i for i, other in enumerate(groups) if other == group) for group in groups}


@given(KEYS)
def test_groups_are_the_connected_components_of_shared_keys(rows):
    columns = list(zip(*rows, strict=True))
    names = [f"clip {i}" for i in range(len(rows))]
    pairs = [
        (i, j)
        for column in columns
        for i, one in enumerate(column)
        for j, other in enumerate(column)
        if one is not None and one == other
    ]
    i, j = np.array(pairs or [(0, 0)]).T
    _, expected = connected_components(coo_array((np.ones(len(i)), (i, j)), shape=(len(rows), len(rows))))
    groups = merge_groups(names, *columns)
    assert partition(groups) == partition(expected.tolist())
    for group, name in zip(groups, names, strict=True):
        assert names.index(group) <= names.index(name)  # the first of its members


def test_spellings_of_an_artist_give_one_key():
    metadata = [
        ClipMetadata("The Clash"),
        ClipMetadata("the  clash"),
        ClipMetadata("The-Clash!"),
        ClipMetadata("Björk"),
        ClipMetadata("BJÖRK"),
        ClipMetadata("Bjork"),
        ClipMetadata("Bjo\u0308rk feat. Someone Else"),
        ClipMetadata("Clash, The"),
    ]
    assert len(set(artist_keys(metadata, ["rock"] * 8, "single"))) == 2


@given(st.sampled_from(["feat. {}", "ft. {}", "(featuring {})", "Feat {}"]), st.sampled_from(["X", "The X", "X & Y"]))
def test_a_guest_is_no_other_artist(guest, name):
    assert artist_key(f"Drake {guest.format(name)}") == artist_key("DRAKE")


@pytest.mark.parametrize(("one", "other"), [("Little Feat", "Little"), ("Theo", "O"), ("The Band", "Banda")])
def test_artists_with_such_words_are_others(one, other):
    assert artist_key(one) != artist_key(other)


def test_unknown_artists_have_no_key_or_one_per_class():
    metadata, labels = (
        [ClipMetadata(), ClipMetadata("unknown rock"), ClipMetadata(" ?"), ClipMetadata()],
        ["rock", "rock", "rock", "pop"],
    )
    assert artist_keys(metadata, labels, "single") == [None, "unknownrock", None, None]
    together = artist_keys(metadata, labels, "together")
    assert together[0] == together[2] and len(set(together)) == 3


def test_conflicts_are_groups_in_several_classes():
    assert conflicts(["a", "b", "a", "c", "b"], ["rock", "pop", "metal", "pop", "pop"]) == [[0, 2]]


def test_real_artists_give_the_published_artist_groups(gtzan: Path):
    """folds.csv was not made by this code, but its artist groups must be the same."""
    with (gtzan / "folds.csv").open() as file:
        theirs = {row["clip"]: row["artist_group"] for row in csv.DictReader(file)}
    names = sorted(theirs)
    metadata = read_table(gtzan / "clips.csv", names)
    groups = merge_groups(names, artist_keys(metadata, [name.split(".")[0] for name in names], "single"))
    known = [i for i, one in enumerate(metadata) if one.artist]
    assert len(known) > 500
    # folds.csv treats "Earth, Wind & Fire" and "Earth Wind and Fire" as two artists.
    one = {"earthwindfire": "earthwindandfire"}
    ours, others = [groups[i] for i in known], [one.get(theirs[names[i]], theirs[names[i]]) for i in known]
    assert partition(ours) == partition(others)
