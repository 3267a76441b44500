"""Names from outside, in every command: shown in full and harmless, and nothing is lost if nobody reads the output."""

import html
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from command_line import TIMEOUT_SECONDS, Finished, command, start
from pyarrow import parquet
from tiny_sounds import tiny_sound

from genreclf.errors import BROKEN_PIPE
from genreclf.frontend.audio import SAMPLE_RATE_HZ
from genreclf.text import one_line, utf8

CLASSES = ("[red]r&b[ :smile: $x$", os.fsdecode(b"caf\xe9 <b>*"), "歌\u202e\x1b[31m" + "x" * 120)
FILES = ("Song [live].wav", "Album [/remix].wav", "two\nlines.wav", "![i](www.e.x) {}.wav", "x" * 251 + ".wav")
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


def song(file: Path, kind: str, seed: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as content:  # libsndfile's wrapper opens only names in UTF-8
        soundfile.write(content, tiny_sound(kind, 4, np.random.default_rng(seed)), SAMPLE_RATE_HZ, format="WAV")


@pytest.fixture(scope="module")
def music(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("names") / "music, {all} ${mine}"
    for number, (label, kind) in enumerate(zip(CLASSES, ("tone", "click", "noise"), strict=True)):
        for place, name in enumerate(FILES):
            song(folder / label / name, kind, 100 * number + place)
    return folder


def unread(name: str, *arguments: object, cache: Path) -> Finished:
    """Runs a command whose output nobody reads, as with `| head` that has already ended."""
    pipe, errors = cache / f"pipe-{name}", cache / f"errors-{name}"
    os.mkfifo(pipe)
    process = start(name, *arguments, cache=cache, outputs=[pipe, errors])
    os.close(os.open(pipe, os.O_RDONLY))
    process.join(TIMEOUT_SECONDS)
    pipe.unlink()
    return Finished(process.exitcode, "", errors.read_text())


@pytest.fixture(scope="module")
def unread_commands(music) -> dict[str, Finished]:
    """The results of commands that write files, in one folder and without a reader of their output."""
    cache = music.parent
    data = ("data=folder", f"data.path={music}", "split.shares=[0.4,0.3,0.3]")
    return {
        "train": unread("train", *data, "model=svm", "logger=none", "run=it's a run", cache=cache),
        "evaluate": unread("evaluate", "it's a run", "tta=none", cache=cache),
        "compare": unread("compare", "it's a run", "--out", "comparison", cache=cache),
        "audit": unread("audit", *data, "out=audit", cache=cache),
        "predict": unread("predict", music, "--model", "it's a run", "--parquet", "p.parquet", "--csv", cache=cache),
    }


WRITTEN = {
    "train": "it's a run/bundle/model.safetensors",
    "evaluate": "it's a run/evaluation/test/report.html",
    "compare": "comparison/comparison.png",
    "audit": "audit/audit.html",
    "predict": "p.parquet",
}


@pytest.mark.parametrize("name", WRITTEN)
def test_nothing_is_lost_if_the_reader_goes_away(unread_commands, music, name):
    done = unread_commands[name]
    assert done.returncode == BROKEN_PIPE, done.stderr
    assert not any(word in done.stderr for word in ("Traceback", "ignored", "Broken", "Glyph"))
    assert (music.parent / WRITTEN[name]).stat().st_size > 1_000


def test_pages_show_names_in_full_and_as_text(unread_commands, music):
    for page, names in (("evaluate", CLASSES), ("audit", CLASSES)):
        text = (music.parent / WRITTEN[page]).read_text()
        assert all(html.escape(one_line(name)) in text for name in names)
        assert not CONTROL.search(text) and "<b>*" not in text and "http" not in text.replace("http-equiv", "")
    card, comparison = "it's a run/bundle/README.md", "comparison/comparison.md"
    for file in (card, comparison):
        assert not CONTROL.search((music.parent / file).read_text())


def test_tables_of_data_contain_all_names(unread_commands, music):
    table = parquet.read_table(music.parent / "p.parquet")
    assert [name for name in table.column_names if name.startswith("p_")] == [f"p_{utf8(name)}" for name in CLASSES]
    assert set(table["path"].to_pylist()) == {utf8(str(music / label / name)) for label in CLASSES for name in FILES}


@pytest.mark.parametrize("form", ["--top=1", "--csv", "--json"])
def test_the_output_contains_all_names(unread_commands, music, form):
    done = command("predict", music / CLASSES[0], "--model", "it's a run", form, cache=music.parent)
    assert done.returncode == 0
    if form == "--json":
        assert [row["path"] for row in json.loads(done.stdout)] == sorted(str(music / CLASSES[0] / n) for n in FILES)
    for name in FILES:
        shown = {"--top=1": one_line(name), "--csv": name}.get(form, json.dumps(name)[1:-1])
        assert f"{shown}" in done.stdout
    assert form == "--csv" or not CONTROL.search(done.stdout)
