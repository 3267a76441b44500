"""Runs the audit on the command line, as a user would."""

import base64
import csv
import io
import json
import re
import shlex
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile
from command_line import command
from PIL import Image
from tiny_sounds import music_like

from genreclf.frontend.log_mel import FRAME_RATE_HZ
from genreclf.frontend.picture import write_picture

FRAMES, SHIFT = 900, 200
SECONDS = FRAMES / FRAME_RATE_HZ
MARKUP = '<script>alert("1")<b>&.png'


def music(seed: int, frames: int = FRAMES) -> np.ndarray:
    """Returns noise that is smooth over time and bands, and louder in the bass, like music: (128, frames) uint8."""
    total = np.random.default_rng(seed).normal(size=(136, frames + 20)).cumsum(axis=0).cumsum(axis=1)
    levels = total[8:, 20:] - total[:-8, 20:] - total[8:, :-20] + total[:-8, :-20]
    return np.clip(np.linspace(190, 70, 128)[:, None] + 30 * levels / levels.std(), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def faulty(tmp_path_factory) -> Path:
    """Two genres with each kind of fault. In GTZAN's lists, training and validation share one shifted recording."""
    folder = tmp_path_factory.mktemp("faulty")
    for genre in ("blues", "rock"):
        (folder / genre).mkdir()
    shifted = music(0, FRAMES + SHIFT)
    pictures = {"blues/blues.00029": shifted[:, :FRAMES], "blues/blues.00000": shifted[:, SHIFT:]}
    pictures |= {"rock/rock.00000": music(1), "rock/rock.00038": music(2)}
    pictures |= {"rock/waves": np.tile(np.sin(np.arange(300) / 20) * 60 + 128, (128, 1)).astype(np.uint8)}
    pictures |= {"rock/steady": np.tile(np.arange(128, dtype=np.uint8)[:, None], (1, 300))}
    for name, levels in pictures.items():
        write_picture(folder / f"{name}.png", levels)
    shutil.copy(folder / "rock" / "rock.00000.png", folder / "blues" / MARKUP)
    (folder / "rock" / "broken.png").write_bytes(b"no picture")
    noise, rate = music_like(22, np.random.default_rng(0)), 22_050
    (folder / "rock" / "notes.txt").touch()
    (folder / "rock" / "cover.jpg").touch()
    for name, sound, sample_rate in (
        ("silent", 0 * noise, rate),
        ("flat", 0 * noise + 0.3, rate),
        ("tone", 0.3 * np.sin(np.arange(len(noise)) * 0.2), rate),
        ("short", noise[: 3 * rate], rate),
        ("low", noise[: 8_000 * 22], 8_000),
        ("cut", noise, rate),
    ):
        soundfile.write(folder / "rock" / f"{name}.wav", sound, sample_rate)
    cut = (folder / "rock" / "cut.wav").read_bytes()
    (folder / "rock" / "cut.wav").write_bytes(cut[: len(cut) * 3 // 4])
    return folder


def audit(folder: Path, cache: Path, out: Path, *arguments: object):
    data = ["data=folder", f"data.path={folder}", f"data.picture_seconds={SECONDS:.3f}", f"out={out}"]
    return command("audit", *data, *arguments, cache=cache)


@pytest.fixture(scope="module")
def leaking(faulty, cache, tmp_path_factory):
    """The audit of the published split: the process, audit.json and the page."""
    out = tmp_path_factory.mktemp("audit") / "of faulty"
    result = audit(faulty, cache, out, "--strict", "split=published")
    assert "Traceback" not in result.stderr, result.stderr
    return result, json.loads((out / "audit.json").read_text()), (out / "audit.html").read_text()


def test_a_leaking_split_is_reported_and_fails_with_strict(leaking):
    result, numbers, _ = leaking
    assert result.returncode == 1 and numbers["summary"]["chosen_leaks"] is True
    assert numbers["leaking"] == [
        {"path": "blues/blues.00000.png", "split": "val", "training": {"recording": "blues/blues.00029.png"}}
    ]
    leaks = numbers["summary"]["leaks"]
    assert leaks["chosen"]["val"]["recording"] == {"clips": 1, "of": 2, "unknown": 0, "share": 0.5}
    assert leaks["chosen"]["test"]["recording"]["share"] is None and leaks["published"] == leaks["chosen"]
    assert 0 < leaks["random"]["val"]["recording"]["share"] < 1
    assert "the chosen split leaks" in result.stdout and "50.0% of 2" in result.stdout
    assert "audit.html" in result.stdout and "audit.json" in result.stdout


def test_each_fault_is_found_once(leaking):
    _, numbers, _ = leaking
    found = {kind: [one["path"] for one in clips] for kind, clips in numbers["findings"].items()}
    assert found == {
        "unreadable": ["rock/broken.png"],
        "silent": ["rock/flat.wav", "rock/silent.wav"],
        "no_music": ["rock/steady.png", "rock/tone.wav"],
        "no_spectrogram": ["rock/waves.png"],
        "truncated": ["rock/cut.wav"],
        "clipped": [],
        "too_short": ["rock/short.wav"],
        "wrong_rate": ["rock/low.wav"],
        "other_rate": [],
    }
    assert numbers["rates"] == {"8000": 1, "22050": 2}
    assert numbers["ignored"] == {".txt": ["rock/notes.txt"], "cover art": ["rock/cover.jpg"]}
    absent = [path for paths in numbers["not_compared"].values() for path in paths]
    assert "rock/short.wav" in absent and "rock/rock.00038.png" not in absent
    assert numbers["classes"]["rock"] == {"train": 1, "val": 1, "test": 0, "none": 3, "left_out": 6}


def test_duplicates_and_conflicts_are_listed(leaking):
    _, numbers, _ = leaking
    by_first = {pair["first"]: pair for pair in numbers["pairs"]}
    shifted, equal = by_first["blues/blues.00000.png"], by_first[f"blues/{MARKUP}"]
    assert shifted["second"] == "blues/blues.00029.png" and shifted["divided"] and not shifted["same_bytes"]
    # blues.00000 begins SHIFT frames after the other, which therefore has a negative offset.
    assert shifted["offset_seconds"] == pytest.approx(-SHIFT / FRAME_RATE_HZ, abs=0.1)
    assert shifted["overlap_seconds"] == pytest.approx((FRAMES - SHIFT) / FRAME_RATE_HZ, abs=0.3)
    assert equal["same_bytes"] and not equal["divided"] and equal["offset_seconds"] == 0
    assert numbers["label_conflicts"] == [{f"blues/{MARKUP}": "blues", "rock/rock.00000.png": "rock"}]
    assert numbers["summary"]["duplicates"] == {"pairs": 2, "groups": 2}


class Page(HTMLParser):
    """Collects the tags and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.open, self.shown = [], [], []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.shown.append(data)


def test_the_page_is_self_contained_and_file_names_are_escaped(leaking):
    _, _, text = leaking
    page = Page(text)
    assert not page.open
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "iframe", "object", "b", "form"})
    assert not re.search(r"https?://|url\(|@import", text)
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert MARKUP in "".join(page.shown)
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(images) == 2 and all(image["alt"].startswith("Spectrograms of ") for image in images)
    for image in images:
        kind, data = image["src"].split(",")
        assert kind == "data:image/png;base64"
        with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
            picture.load()
            assert picture.size[0] == 720


def test_a_hashed_split_passes_although_training_would_refuse_it(faulty, cache, tmp_path):
    result = audit(faulty, cache, tmp_path, "--strict")
    assert result.returncode == 0, result.stderr
    numbers = json.loads((tmp_path / "audit.json").read_text())
    assert numbers["summary"]["chosen_leaks"] is False and numbers["leaking"] == []
    assert numbers["refusals"] and numbers["refusals"][0] in result.stdout.replace("\n", " ")
    again = audit(faulty, cache, tmp_path / "again")
    assert again.returncode == 0
    for name in ("audit.json", "audit.html"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / name).read_bytes()


def test_an_artist_in_training_and_validation_is_a_leak(faulty, cache, tmp_path):
    table = tmp_path / "artists.csv"
    table.write_text("clip,artist,title\nrock.00000,The Band,One\nrock.00038,the band!,Two\n")
    result = audit(faulty, cache, tmp_path, "--strict", f"data.table={table}", "split=published")
    assert result.returncode == 1, result.stderr
    leaks = json.loads((tmp_path / "audit.json").read_text())["summary"]["leaks"]["chosen"]["val"]
    assert leaks["artist"] == {"clips": 1, "of": 1, "unknown": 1, "share": 1} and leaks["title"]["clips"] == 0
    assert audit(faulty, cache, tmp_path, "split=published").returncode == 0


def test_a_declared_group_divided_by_the_tables_folds_is_a_leak_and_refused(faulty, cache, tmp_path):
    table = tmp_path / "folds.csv"
    rows = ["rock.00000,live,1", "rock.00038,live,3", "blues.00000,,2", "blues.00029,,2"]
    table.write_text("\n".join(["clip,group,fold", *rows]))
    data = (f"data.table={table}", "split=table", f"cache={cache}")
    result = audit(faulty, cache, tmp_path, "--strict", *data)
    assert result.returncode == 1, result.stderr
    numbers = json.loads((tmp_path / "audit.json").read_text())
    assert numbers["split"]["fold"] == 0 and numbers["split"]["folds"] is None
    leaks = numbers["summary"]["leaks"]["chosen"]
    assert leaks["test"]["group"] == {"clips": 1, "of": 1, "unknown": 0, "share": 1}
    assert leaks["val"]["recording"]["clips"] == 0
    assert "held-out clips share group with training" in result.stdout
    assert "'live'" in numbers["refusals"][0] and "'live'" in result.stdout


def test_nothing_readable_is_still_a_page(cache, tmp_path):
    for genre in ("a", "b"):
        (tmp_path / "music" / genre).mkdir(parents=True)
        (tmp_path / "music" / genre / "x.png").write_bytes(b"none")
    result = audit(tmp_path / "music", cache, tmp_path, "--strict", "split=published")
    assert result.returncode == 0, result.stderr
    numbers = json.loads((tmp_path / "audit.json").read_text())
    assert numbers["summary"]["findings"]["unreadable"] == 2 and "two classes" in numbers["refusals"][0]
    assert Page((tmp_path / "audit.html").read_text()).open == []


def test_pieces_too_short_to_compare_are_named_and_the_split_is_not_called_clean(cache, tmp_path):
    for number in range(40):
        path = tmp_path / "music" / "ab"[number % 2] / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, music_like(3, np.random.default_rng(number)), 22_050)
    result = audit(tmp_path / "music", cache, tmp_path, "--strict")
    assert result.returncode == 1, result.stderr
    numbers = json.loads((tmp_path / "audit.json").read_text())
    assert numbers["summary"]["verdict"] == "unknown" and not numbers["summary"]["chosen_leaks"]
    absent = numbers["not_compared"]
    assert sum(map(len, absent.values())) == 40
    assert "no leak" not in result.stdout.lower() and "not known" in result.stdout
    assert absent["train"][0] in result.stdout
    text = (tmp_path / "audit.html").read_text()
    assert "No leak" not in text and all(path in text for paths in absent.values() for path in paths)


# --- Against other collections ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def others(tmp_path_factory) -> Path:
    """Two collections: an unrelated clip in each, and in the first also a shifted copy of rock.00000."""
    folder = tmp_path_factory.mktemp("others")
    copy = np.concatenate([music(1)[:, SHIFT:], music(7)[:, :SHIFT]], axis=1)
    for name, levels in (("one/copy.png", copy), ("one/x.png", music(8)), ("two/y.png", music(9))):
        (folder / name).parent.mkdir(exist_ok=True)
        write_picture(folder / name, levels)
    return folder


def against(faulty: Path, cache: Path, *arguments: object):
    return command("audit", faulty, f"data.picture_seconds={SECONDS:.3f}", *arguments, cache=cache)


def test_recordings_in_another_collection_are_listed_and_can_be_left_out(faulty, others, cache, tmp_path):
    out, drop = tmp_path / "a b", tmp_path / "drop it.csv"
    options = ["--against", others / "one", others / "two", "--drop-list", drop, "--strict", f"out={out}"]
    result = against(faulty, cache, *options)
    assert result.returncode == 1, result.stderr
    with (out / "pairs.csv").open(newline="") as file:
        found = {row["path"]: row for row in csv.DictReader(file)}
    assert set(found) == {"rock/rock.00000.png", f"blues/{MARKUP}"}
    for row in found.values():
        assert (row["against"], row["other"]) == (str(others / "one"), "copy.png")
        assert float(row["offset_seconds"]) == pytest.approx(SHIFT / FRAME_RATE_HZ, abs=0.1)
    numbers = json.loads((out / "pairs.json").read_text())
    assert numbers["shared"] == sorted(found) and "rock/short.wav" in numbers["collection"]["not_compared"]
    assert "rock/broken.png" in numbers["collection"]["left_out"] and "rock.00000.png" in result.stdout
    page = Page((out / "pairs.html").read_text())
    assert not page.open and sum(tag == "img" for tag, _ in page.tags) == 2 and MARKUP in "".join(page.shown)
    # The printed command reads the list.
    (line,) = (line for line in result.stdout.splitlines() if "data.drop=" in line)
    words = shlex.split(line.partition(": ")[2])
    assert words[:2] == ["genreclf", "train"]
    prepared = command("prepare", *words[2:], f"data.picture_seconds={SECONDS:.3f}", cache=cache)
    assert prepared.returncode == 0 and "2 clips are left out" in prepared.stderr, prepared.stderr
    again = against(faulty, cache, f"data.drop={drop}", *options[:3], "--strict", f"out={out}")
    assert again.returncode == 0 and not json.loads((out / "pairs.json").read_text())["pairs"], again.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data.path=nowhere"], "data.path=nowhere: .*give"),
        (["strict=maybe"], "strict='maybe': expected true or false"),
        (["out=taken"], "out=taken: .*choose another folder"),
        (["split=published", "data.path=unlisted"], "split=published: .*use split=hashed"),
        (["split=folds", "split.folds=2"], r"split\.fold=0, split\.folds=2: need"),
        (["--drop-list", "x"], "--drop-list x: .*--against"),
        (["--against", "nowhere"], "nowhere: no such file or folder; give another"),
        (["--against", "unlisted", "--drop-list", "no/such/x"], "no/such/x: its folder does not exist"),
        (["data.drop=nowhere"], "data.drop=nowhere: cannot be read"),
    ],
)
def test_a_mistake_is_one_line(faulty, cache, tmp_path, arguments, message):
    (cache / "taken").touch()
    for name in ("a/x.png", "b/y.png"):
        (cache / "unlisted" / name).parent.mkdir(parents=True, exist_ok=True)
        write_picture(cache / "unlisted" / name, music(0, 100))
    result = audit(faulty, cache, tmp_path, *arguments)
    errors = [line for line in result.stderr.splitlines() if not line.startswith("data.path=")]  # except ignored files
    assert result.returncode == 2 and len(errors) == 1
    assert re.match(f"genreclf: {message}", errors[0])
