import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import command

from genreclf.data.picture import write_picture
from genreclf.data.store import open_store


@pytest.fixture
def music(tmp_path) -> Path:
    """Two genres of three pictures, one of them a copy, and a file that is none."""
    for genre in ("low", "high"):
        (tmp_path / "music" / genre).mkdir(parents=True)
        for number in range(3):
            levels = np.random.default_rng(number).integers(0, 256, (128, 100), dtype=np.uint8)
            write_picture(
                tmp_path / "music" / genre / f"{genre}{number}.png", levels if genre == "low" else levels // 2
            )
    shutil.copy(tmp_path / "music" / "low" / "low0.png", tmp_path / "music" / "low" / "again.png")
    (tmp_path / "music" / "high" / "broken.png").write_bytes(b"no picture")
    return tmp_path / "music"


def test_prepare_tells_what_it_made_and_what_it_left_out(music, tmp_path):
    arguments = ("data=folder", f"data.path={music}", "data.picture_seconds=36")
    first = command("prepare", *arguments, cache=tmp_path)
    assert first.returncode == 0, first.stderr
    assert re.search(r"left out high/broken.png: .*broken.png: .+", first.stderr)
    lines = first.stdout.splitlines()
    assert lines[0] == "7 clips of 2 classes, 0.1 hours; 1 left out"  # 7 times 36 s
    assert lines[1] == "high 3, low 4"
    assert lines[2].startswith("1 are copies of others")
    folder, size = lines[3].rsplit(": ", 1)
    assert len(open_store(Path(folder)).rows) == 8 and size == "0.1 MB"  # 7 times 12,800 bytes
    made = (Path(folder) / "store.json").stat().st_mtime_ns
    assert command("prepare", *arguments, cache=tmp_path).stdout == first.stdout
    assert (Path(folder) / "store.json").stat().st_mtime_ns == made


def test_a_folder_that_is_not_there_is_one_line(tmp_path):
    result = command("prepare", "data=folder", f"data.path={tmp_path}/nowhere", cache=tmp_path)
    assert result.returncode == 2 and result.stderr.count("\n") == 1
    assert result.stderr.startswith("genreclf: data.path=") and "no such folder" in result.stderr
