"""`--undo` restores the exact bytes, so that a data set of these files is the same as before."""

import json
import os
import random
from pathlib import Path

import pytest

pytest.importorskip("mutagen")
import mutagen
from tag_files import PICTURE, SUFFIXES, encoded, song

from genreclf.tags.byte_patch import from_json, patch_between, to_json, write_patched
from genreclf.tags.changes import RESTORED, WRITTEN, apply_row, undo_change
from genreclf.tags.file_tags import read_tags
from genreclf.tags.genre_log import GenreLog, read_log
from genreclf.tags.plan import WRITE, PlanRow

WHEN = (1_000_000_000_123_456_789, 1_100_000_000_987_654_321)


def applied(path: Path, genre: str, log: Path) -> None:
    row = PlanRow(str(path), WRITE, genre, None, None, "; ".join(read_tags(path).genres))
    assert apply_row(row, GenreLog(log)) == (WRITTEN, "")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_undo_restores_the_exact_bytes(suffix, tmp_path):
    tagged, plain = song(tmp_path / f"tagged{suffix}", "Old"), tmp_path / f"plain{suffix}"
    plain.write_bytes(encoded(suffix))
    for path in (tagged, plain):
        before, log = path.read_bytes(), tmp_path / f"{path.name}.log"
        os.utime(path, ns=WHEN)
        applied(path, "a long name of a genre", log)
        applied(path, "ska", log)
        assert path.read_bytes() != before
        assert [undo_change(change).what for change in read_log(log)[::-1]] == [RESTORED, RESTORED]
        assert path.read_bytes() == before and path.stat().st_mtime_ns == WHEN[1]
        assert log.stat().st_size < 60_000


def test_later_changes_of_other_programs_are_kept(tmp_path):
    path, log = song(tmp_path / "a.flac", "Old"), tmp_path / "log"
    applied(path, "ska", log)
    file = mutagen.File(path)
    file.tags["title"] = ["New"]
    file.save()
    assert [undo_change(change).what for change in read_log(log)] == [RESTORED]
    assert read_tags(path).genres == ("Old",) and read_tags(path).title == "New"


def test_a_log_without_bytes_restores_the_genre(tmp_path):
    path, log = song(tmp_path / "a.mp3", "Old"), tmp_path / "log"
    applied(path, "ska", log)
    line = json.loads(log.read_text())
    del line["bytes"]
    log.write_text(json.dumps(line))
    assert [undo_change(change).what for change in read_log(log)] == [RESTORED]
    assert read_tags(path).genres == ("Old",)


def test_a_file_is_restored_from_its_copy_whatever_moved(tmp_path):
    head, picture, sound = (random.Random(seed).randbytes(size) for seed, size in ((0, 900), (1, 90_000), (2, 200_000)))
    file, copy, out = tmp_path / "file", tmp_path / "copy", tmp_path / "out"
    file.write_bytes(head + picture + sound)
    for content in (head + b"genre" + picture + bytes(999) + sound, head[:500] + picture + sound, sound + PICTURE):
        copy.write_bytes(content)
        patch = patch_between(file, copy)
        if content.startswith(sound):
            assert patch is None  # the copy lacks too much of it
            continue
        write_patched(from_json(json.loads(json.dumps(to_json(patch)))), copy, out)
        assert out.read_bytes() == file.read_bytes()
        assert len(json.dumps(to_json(patch))) < 4_000
