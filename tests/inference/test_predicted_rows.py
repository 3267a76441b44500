"""Rows for a list of files from an engine that returns them in any order, with and without a journal."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from genreclf.frontend.object_store import Location
from genreclf.inference.journal import Journal
from genreclf.inference.predicted_rows import FileRow, journaled


@given(st.data(), st.lists(st.sampled_from("abcdefgh"), max_size=12), st.sets(st.sampled_from("abcdefgh")))
def test_rows_come_in_order_and_a_journal_keeps_each_once(data, names, passing):
    """For any order of the engine, and any part of the list finished by a first run."""
    requested: list[Sequence[Location]] = []

    def engine(paths: Sequence[Location]) -> Iterator[FileRow]:
        requested.append(paths)
        shuffled = data.draw(st.permutations(paths))
        problems = {path: "busy" if str(path) in passing else "" for path in shuffled}
        return (FileRow(path, {"path": str(path), "problem": problems[path]}, not problems[path]) for path in shuffled)

    paths = list(map(Path, names))
    first = paths[: data.draw(st.integers(0, len(paths)))]
    assert [result.path for result in journaled(paths, engine, None)] == paths
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "journal"
        for wanted in (first, paths):
            results = list(journaled(wanted, engine, Journal(journal, "model")))
            assert [result.path for result in results] == wanted
            assert [result.row["path"] for result in results] == list(map(str, wanted))
        lines = [json.loads(line)["path"] for line in journal.read_text().splitlines() if line]
    assert sorted(lines) == sorted(set(names) - passing)
    kept = set(first) - set(map(Path, passing))
    assert sorted(requested[-1]) == sorted(set(paths) - kept)
