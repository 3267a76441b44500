"""The app's pages, driven as a browser would, with the pretrained models."""

import csv
import html
import io
import json
import re
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image
from streamlit.testing import v1 as testing
from tiny_sounds import music_like

from genreclf.app import classify, corrections, state
from genreclf.app.__main__ import main
from genreclf.frontend.audio import SAMPLE_RATE_HZ
from genreclf.frontend.clip import Clip, read_upload
from genreclf.inference.predictor import load_predictor
from genreclf.inference.run_folder import PRETRAINED

APP = Path(__file__).resolve().parents[2] / "genreclf" / "app" / "main.py"
SECONDS = 120
CLASSES = tuple(json.loads((PRETRAINED / "a" / "config.json").read_text())["classes"])


def copied(model: str, folder: Path, known: dict[str, float] | None) -> None:
    """Makes a run with a pretrained model's bundle, not evaluated, that detects out-of-scope music by `known`."""
    shutil.copytree(PRETRAINED / model, folder / "bundle", ignore=shutil.ignore_patterns("README.md", "scores*"))
    config = json.loads((folder / "bundle" / "config.json").read_text())
    (folder / "bundle" / "config.json").write_text(json.dumps({**config, "known": known}))


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for name, model in (("one", "a"), ("two", "b")):
        copied(model, folder / name, None)  # so that it gives a genre to the noise in these tests
    return folder


@pytest.fixture
def app(runs, monkeypatch):
    """The page that classifies music, with the model "one"."""
    monkeypatch.setenv("GENRECLF_RUNS", str(runs))
    return chosen(opened(), "one")


def opened(address: dict[str, str] | None = None):
    """Returns the page as a browser opens it; `address` are the query parameters."""
    page = testing.AppTest.from_file(str(APP), default_timeout=SECONDS)
    for key, value in (address or {}).items():
        page.query_params[key] = value
    page.run()
    assert not page.exception
    return page


def chosen(page, model: str, second: str = "none"):
    page.selectbox(key="model").set_value(model).run()
    return page.selectbox(key="second").set_value(second).run()


def song(seconds: float = 12.0, seed: int = 0) -> bytes:
    noise = music_like(seconds, np.random.default_rng(seed)).cumsum()
    return wav(0.5 * noise / np.abs(noise).max())


def wav(samples: np.ndarray, rate_hz: int = SAMPLE_RATE_HZ) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format="WAV")
    return file.getvalue()


def picture(pixels: np.ndarray, form: str = "PNG", mode: str | None = None) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels, mode).save(file, format=form)
    return file.getvalue()


def given(app, *files: tuple[str, bytes]):
    for name, content in files:
        app.file_uploader[0].upload(name, content)
    app.run()
    assert not app.exception
    return app


def text_of(app) -> str:
    return " ".join(
        str(element.value) for kind in ("markdown", "caption", "info", "warning", "error") for element in app.get(kind)
    )


def bodies(app) -> str:
    """Returns all HTML of the page except its style sheet."""
    return " ".join(element.proto.body for element in app.get("html") if not element.proto.body.startswith("<style"))


def genres_of(app) -> list[str]:
    """Returns the predicted genres, one from each model that gives one."""
    return [html.unescape(name) for name in re.findall(r'class="genre">(.*?)</span>', bodies(app))]


def component(app, name: str):
    """Returns the data of a component on the page; None if it is missing."""
    found = [one.proto for one in app.get("bidi_component") if one.proto.component_name == f"genreclf.{name}"]
    return json.loads(found[0].json) if found else None


def heading(app) -> str:
    return app.header[0].value


def test_the_first_page_asks_for_music_and_names_the_models(app):
    assert "genre" in app.title[0].value
    options = app.selectbox(key="model").options
    assert set(options[-2:]) == {"one", "two"} and all("(pretrained)" in option for option in options[:-2])
    assert not genres_of(app) and "Not evaluated yet" in text_of(app) and "minutes" in text_of(app)
    chosen(app, options[0])
    scores = json.loads((PRETRAINED / "a" / "scores.json").read_text())
    low, high = scores["interval"]
    assert f"{scores['accuracy'] * 100:.1f} % ({low * 100:.0f} to {high * 100:.0f} %)" in text_of(app)
    assert f"{scores['parameters']:,}" in text_of(app)


def test_a_song_gets_the_predictors_prediction(app, runs, tmp_path):
    (tmp_path / "song.wav").write_bytes(song())
    prediction = load_predictor(runs / "one").predict_file(tmp_path / "song.wav")
    given(app, ("song.wav", song()))
    assert genres_of(app) == [prediction.genre] and f"probability {prediction.probability:.0%}"[:-1] in bodies(app)
    assert "not been measured" in text_of(app)
    for name, probability in zip(CLASSES, prediction.probabilities, strict=True):
        assert f'aria-label="{name}: {probability:.0%}"' in bodies(app)
    assert prediction.genre in component(app, "live_region") and component(app, "player")


def test_trust_is_what_the_models_evaluation_measured(tmp_path, monkeypatch):
    copied("a", tmp_path / "measured", None)
    edges = [ten / 10 - 0.005 for ten in range(11)]  # so that rounded probabilities of 20 to 29 % are in one bin
    bins = [{"low": edges[n], "high": edges[n + 1], "clips": 40 + n, "accuracy": n / 10} for n in range(10)]
    scores = {"accuracy": 0.7, "interval": [0.6, 0.8], "parameters": 5, "reliability": bins}
    (tmp_path / "measured" / "bundle" / "scores.json").write_text(json.dumps(scores))
    monkeypatch.setenv("GENRECLF_RUNS", str(tmp_path))
    page = given(chosen(opened(), "measured"), ("song.wav", song()))
    (probability,) = re.findall(r"probability (\d+)", bodies(page))
    assert f"{40 + int(probability) // 10} of its answers" in text_of(page)


HOSTILE = "![i](http://x.test/i) :smile: *b* <img src=x onerror=alert(1)> $x$ www.x.de me@e.x `c` :red[r]"
RAW = ("<b>", ":red[", "$a$", "$x$", "`c`", "![i]", ":smile:", "*b*", "[x](y)", "www.", "://", "@e")


def test_names_of_files_classes_and_runs_are_never_markup(monkeypatch, tmp_path):
    name, folder = "<b>*:red[x]*", tmp_path / "[x](y)" / "bundle"
    shutil.copytree(PRETRAINED / "a", folder)
    config = json.loads((folder / "config.json").read_text())
    config["classes"][:3] = [name, "$a$", "`c`"]
    (folder / "config.json").write_text(json.dumps({**config, "known": None}))
    monkeypatch.setenv("GENRECLF_RUNS", str(tmp_path))
    page = chosen(opened(), "[x](y)", "a (pretrained)")
    given(page, (f"{HOSTILE}.wav", song()), (f"{HOSTILE}.mp3", b"nothing"), ("silence *b*.wav", SILENCE))
    corrected(page, f"own {HOSTILE}")
    for song_id in [one["id"] for one in component(page, "songs_table")["songs"]]:
        shown(page, song_id)
        labels = [label for kind in ("header", "subheader", "expander", "popover") for label in labels_of(page, kind)]
        markdown = text_of(page) + " ".join(labels)
        for raw in RAW:
            assert raw not in markdown, raw
        assert "<b>" not in bodies(page) and "<img" not in bodies(page)
    shown(page, component(page, "songs_table")["songs"][0]["id"])
    assert html.escape(name) in bodies(page)


def labels_of(page, kind: str) -> list[str]:
    return [str(getattr(one, "value", None) or getattr(one, "label", "")) for one in page.get(kind)]


def right_genre(page) -> str:
    """Returns the key of the widget that corrects the song on the page."""
    return next(one.key for one in page.selectbox if one.key.startswith("right genre"))


def visit_of(page):
    """Returns the songs and corrections that the server keeps for a page."""
    return state._visits().open(page.query_params["songs"], "a test")


def corrected(page, genre: str):
    """Returns the page after a typed correction of its song, which Streamlit's harness cannot enter."""
    visit = visit_of(page)
    visit.correct(visit.wanted[0], genre)
    page.run()
    assert not page.exception
    return page


def shown(page, song_id: str):
    """Returns the page after a click on a song's row; Streamlit's harness cannot click within a component."""
    visit_of(page).wanted = [song_id]
    page.run()
    assert not page.exception
    return page


@pytest.mark.parametrize("seconds", [0.003, 0.96, 90_000.0])
def test_a_model_of_pictures_of_any_length_can_be_chosen(monkeypatch, tmp_path, seconds):
    folder = tmp_path / "\udce9\u202e" / "bundle"  # a name that is not UTF-8
    shutil.copytree(PRETRAINED / "a", folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "picture_seconds": seconds}))
    monkeypatch.setenv("GENRECLF_RUNS", str(tmp_path))
    page = chosen(opened(), r"\udce9\u202e")
    assert not page.exception and page.number_input[0].value == seconds


def test_two_models_are_shown_side_by_side(app):
    given(chosen(app, "one", "two"), ("song.wav", song()))
    assert len(genres_of(app)) == 2 and set(genres_of(app)) <= set(CLASSES)
    assert any(word in app.info[0].value for word in ("Both", "disagree"))
    given(app, ("other.wav", song(6, 3)))
    assert all(len(one["answers"]) == 2 for one in component(app, "songs_table")["songs"])
    assert component(app, "songs_table")["labels"] == ["one", "two"]


def test_three_pitches_are_asked_for_by_the_toggle(app, monkeypatch):
    requested = []

    def noted(folder, tta, changed):
        requested.append(tta)
        return state.load_model(folder, tta, changed)

    monkeypatch.setattr("genreclf.app.settings.load_model", noted)
    given(app, ("song.wav", song()))
    assert set(requested) == {"none"}
    requested.clear()
    app.toggle[0].set_value(True).run()
    assert not app.exception and genres_of(app)[0] in CLASSES and set(requested) == {"pitch_shift"}


def test_several_files_are_a_table_and_an_unreadable_one_has_its_reason(app, monkeypatch):
    read = []

    def noted(content: bytes, *bounds: object) -> Clip:
        read.append(content)
        return read_upload(content, *bounds)

    monkeypatch.setattr(state, "read_upload", noted)
    given(app, ("a.wav", b"no sound at all"), ("b.wav", song(6, 1)), ("c.wav", song(6, 2)))
    first, second, third = component(app, "songs_table")["songs"]
    assert [one["name"] for one in (first, second, third)] == ["a.wav", "b.wav", "c.wav"]
    assert "audio" in first["note"] and first["answers"] == ["not readable"] and "audio" not in second["note"]
    assert all(one["answers"][0].split()[0] in CLASSES for one in (second, third))
    assert [one["open"] for one in (first, second, third)] == [False, True, False]  # the first readable one
    assert heading(app) == r"b\.wav" and not app.error
    shown(app, first["id"])
    assert "audio" in app.error[0].value and not genres_of(app)
    assert read.count(b"no sound at all") == 1


def test_the_table_fills_in_a_few_runs_and_songs_to_come_have_no_genre_yet(app, monkeypatch):
    tables = []
    monkeypatch.setattr(classify, "songs_table", lambda visit, labels, rows, genres: tables.append(rows))
    given(app, *((f"{number}.wav", song(6, number)) for number in range(5)))
    assert [[bool(row) for row in rows.values()].count(True) for rows in tables] == [1, 2, 4, 5]


def test_the_newest_upload_is_shown(app):
    given(app, ("a.wav", song(6, 1)))
    given(app, ("b.wav", song(6, 2)))
    assert heading(app) == r"b\.wav"
    given(app, ("a.wav", song(6, 1)))
    assert heading(app) == r"a\.wav" and len(component(app, "songs_table")["songs"]) == 2


def test_songs_settings_and_corrections_outlast_a_reload_and_other_pages(app):
    given(chosen(app, "one", "two"), ("a.wav", song(6, 1)), ("b.wav", song(6, 2)))
    app.selectbox(key=right_genre(app)).set_value("jazz").run()
    answers = genres_of(app)
    again = opened({"songs": app.query_params["songs"]})
    assert genres_of(again) == answers and len(component(again, "songs_table")["songs"]) == 2
    assert again.selectbox(key="second").value == "two" and again.selectbox(key=right_genre(again)).value == "jazz"
    stranger = opened({"songs": "no such key"})
    assert not genres_of(stranger) and "no longer kept" in text_of(stranger)
    assert not genres_of(opened())


def test_corrections_are_listed_undone_and_downloaded(app):
    given(app, ("a.wav", song(6, 1)), ("b.wav", song(6, 2)))
    _, second = (one["id"] for one in component(app, "songs_table")["songs"])
    app.selectbox(key=right_genre(app)).set_value("jazz").run()
    shown(app, second)
    corrected(app, 'own, "genre" <b>')
    assert component(app, "songs_table")["songs"][0]["right"] == CLASSES.index("jazz")
    assert html.escape('own, "genre" <b>') in bodies(app) and "jazz" in bodies(app)
    assert corrections_of(app) == {"a.wav": "jazz", "b.wav": 'own, "genre" <b>'}
    app.button(key="undo").click().run()
    assert corrections_of(app) == {"a.wav": "jazz"} and app.selectbox(key=right_genre(app)).value is None
    app.button(key="undo").click().run()
    assert corrections_of(app) == {} and "jazz" not in bodies(app).split("</div>")[-1]


def corrections_of(page) -> dict[str, str]:
    lines = csv.DictReader(io.StringIO(corrections.table(visit_of(page))))
    return {line["path"]: line["genre"] for line in lines}


def test_training_needs_two_genres_and_a_folder(app, runs, monkeypatch):
    given(app, ("a.wav", song(6, 1)), ("b.wav", song(6, 2)))
    app.selectbox(key=right_genre(app)).set_value("jazz").run()
    assert app.button(key="train").disabled and "two genres" in text_of(app)
    shown(app, component(app, "songs_table")["songs"][1]["id"])
    corrected(app, "own")
    assert not app.button(key="train").disabled
    assert "init=" in app.code[0].value and "trainer.max_epochs=0" in app.code[0].value
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert app.run().button(key="train").disabled and "read-only" in text_of(app).replace("\\", "")


def test_a_recording_is_classified(app):
    app.audio_input[0].upload("x.wav", song(6))
    app.run()
    assert not app.exception and "recording" in heading(app) and genres_of(app)


def test_a_demo_is_called_synthetic_and_the_figures_for_music_are_not_given(app):
    app.pills[0].set_value("waltz").run()
    assert not app.exception and "synthetic" in heading(app)
    assert "synthetic" in text_of(app) and "of its answers" not in text_of(app)


WRONG = {
    "text.mp3": (lambda: b"this is no music " * 50, "audio"),
    "empty.wav": (lambda: b"", "empty"),
    "large.png": (lambda: picture(np.zeros((5_001, 8_000), np.uint8)), "more than"),
    "broken.png": (lambda: b"\x89PNG\r\n\x1a\n" + b"x" * 50, "picture"),
    "hours.wav": (lambda: wav(np.zeros(3 * 3_600 * 1_000, np.int16), 1_000), "1 hour"),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_unreadable_file_is_a_sentence_on_the_page(app, name):
    content, message = WRONG[name]
    given(app, (name, content()))
    (error,) = app.error
    assert error.value.replace("\\", "").startswith(name) and message in error.value
    assert not genres_of(app) and message in component(app, "live_region")


def test_a_decoder_bug_fails_only_one_file_of_a_page(app, monkeypatch):
    def defective(content: bytes, *bounds: object) -> Clip:
        if len(content) < 200_000:
            raise ValueError("a defect")
        return read_upload(content, *bounds)

    monkeypatch.setattr(state, "read_upload", defective)
    given(app, ("short.wav", song(3, 5)), ("long.wav", song(6, 5)))
    first, second = component(app, "songs_table")["songs"]
    assert first["answers"] == ["not readable"] and "a defect" in first["note"] and "report" in first["note"]
    assert second["answers"][0].split()[0] in CLASSES


SILENCE = wav(np.zeros(6 * SAMPLE_RATE_HZ))
PHOTO = picture(np.random.default_rng(0).integers(0, 256, (128, 200, 4), np.uint8), "JPEG", "CMYK")
NOISE = picture(np.random.default_rng(0).integers(0, 256, (128, 30), np.uint8))  # too narrow for a check by its columns
WITHOUT_MUSIC = {"silence.wav": (SILENCE, "silence"), "cmyk.jpg": (PHOTO, "no mel"), "noise.png": (NOISE, "no mel")}


@pytest.mark.parametrize("name", WITHOUT_MUSIC)
def test_a_file_without_music_has_a_reason_in_place_of_its_genre(app, name):
    content, why = WITHOUT_MUSIC[name]
    given(app, (name, content))
    assert not genres_of(app) and why in app.warning[0].value and why in component(app, "live_region")
    assert "aria-label" not in bodies(app)
    is_sound = name.endswith(".wav")
    assert (
        len(app.get("download_button")) == 3 * is_sound and ("What was read" in labels_of(app, "subheader")) == is_sound
    )
    given(app, ("song.wav", song()))
    first, second = component(app, "songs_table")["songs"]
    assert first["answers"] == ["no genre"] and why in first["note"] and second["answers"][0].split()[0] in CLASSES
    row, _ = visit_of(app).rows.values()  # the rows of the downloads
    assert row["genre"] is None and row["probability"] is None and why in row["note"]


def test_out_of_scope_music_has_a_reason_and_the_nearest_genre(tmp_path, monkeypatch):
    known = json.loads((PRETRAINED / "a" / "config.json").read_text())["known"]
    copied("a", tmp_path / "strict", {**known, "threshold": 1.0})
    monkeypatch.setenv("GENRECLF_RUNS", str(tmp_path))
    page = given(chosen(opened(), "strict"), ("song.wav", song()))
    message = page.warning[0].value
    assert not genres_of(page) and "None of these genres" in message and any(name in message for name in CLASSES)
    assert "aria-label" in bodies(page)  # the probabilities are shown
    assert "of its answers" not in text_of(page)


def test_without_any_model_the_page_says_how_to_get_one(tmp_path, monkeypatch):
    monkeypatch.setenv("GENRECLF_RUNS", str(tmp_path))
    monkeypatch.setattr("genreclf.inference.run_folder.PRETRAINED", tmp_path / "none")
    page = testing.AppTest.from_file(str(APP), default_timeout=SECONDS).run()
    assert not page.exception and "genreclf train" in page.error[0].value and "GENRECLF_RUNS" in page.error[0].value


@pytest.fixture
def process(monkeypatch):
    """Keeps the command from changing this process, which is not the app's."""
    for setting in ("gc.freeze", "genreclf.app.__main__._return_large_blocks"):
        monkeypatch.setattr(setting, lambda: None)
    return monkeypatch


def test_the_command_starts_streamlit_with_the_users_options(process):
    calls = []
    process.setattr("streamlit.web.cli.main", lambda words, prog_name: calls.append(words))
    main(["--server.port", "8600"])
    ((command, file, *options),) = calls
    assert command == "run" and Path(file) == APP and options == ["--server.port", "8600"]


@pytest.mark.parametrize("error", [OverflowError("bind(): port must be 0-65535."), OSError(99, "Cannot assign")])
def test_an_address_that_cannot_be_taken_is_one_line(error, process, capsys):
    def bind(words, prog_name):
        raise error

    process.setattr("streamlit.web.cli.main", bind)
    assert main(["--server.port", "99999"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--server.port" in line and ("0-65535" in line or "Cannot assign" in line)


def test_streamlit_finds_its_settings_from_any_working_folder():
    from streamlit import file_util

    file = Path(file_util.get_main_script_streamlit_file_path(str(APP), "config.toml"))
    settings = tomllib.loads(file.read_text())
    assert settings["server"]["address"] == "127.0.0.1" and settings["theme"]["dark"]["primaryColor"]
    assert settings["browser"]["gatherUsageStats"] is settings["server"]["showEmailPrompt"] is False


def test_the_command_without_streamlit_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main([]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "streamlit" in error and "pip install" in error
    assert main(["--help"]) == 0 and "--server.port" in capsys.readouterr().out
