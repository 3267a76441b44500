"""The app's pages, driven as a browser would, with the pretrained models."""

import html
import io
import json
import shutil
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from genreclf.app import words
from genreclf.app.__main__ import main
from genreclf.frontend.audio import SAMPLE_RATE_HZ
from genreclf.inference.predictor import load_predictor
from genreclf.inference.run_folder import PRETRAINED

testing = pytest.importorskip("streamlit.testing.v1")
APP = Path(__file__).resolve().parents[2] / "genreclf" / "app" / "main.py"
SECONDS = 120
CLASSES = tuple(json.loads((PRETRAINED / "a" / "config.json").read_text())["classes"])


@pytest.fixture(autouse=True)
def main_module(monkeypatch):
    """Streamlit's test harness leaves its page at `__main__`, which processes of later tests would import."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


def copied(model: str, folder: Path, known: dict[str, float] | None) -> None:
    """A run with a pretrained model's bundle, not evaluated, which tells music of none of its genres by `known`."""
    shutil.copytree(PRETRAINED / model, folder / "bundle", ignore=shutil.ignore_patterns("README.md", "scores*"))
    config = json.loads((folder / "bundle" / "config.json").read_text())
    (folder / "bundle" / "config.json").write_text(json.dumps({**config, "known": known}))


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for name, model in (("one", "a"), ("two", "b")):
        copied(model, folder / name, None)  # it names a genre for the noise in these tests
    return folder


@pytest.fixture
def app(runs, monkeypatch):
    """The page that classifies, with the model "one"."""
    monkeypatch.setenv("GENRECLF_RUNS", str(runs))
    page = testing.AppTest.from_file(str(APP), default_timeout=SECONDS).run()
    assert not page.exception
    return page.sidebar.selectbox[0].set_value("one").run()


def song(seconds: float = 12.0, seed: int = 0) -> bytes:
    noise = np.random.default_rng(seed).normal(0, 0.1, round(seconds * SAMPLE_RATE_HZ)).cumsum()
    file = io.BytesIO()
    soundfile.write(file, 0.5 * noise / np.abs(noise).max(), SAMPLE_RATE_HZ, format="WAV")
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


def test_the_first_page_asks_for_music_and_names_the_models(app):
    assert "genre" in app.title[0].value
    options = app.sidebar.selectbox[0].options
    assert set(options[-2:]) == {"one", "two"} and all("(pretrained)" in option for option in options[:-2])
    assert not app.metric and "Not evaluated yet" in text_of(app)
    app.sidebar.selectbox[0].set_value(options[0]).run()
    scores = json.loads((PRETRAINED / "a" / "scores.json").read_text())
    low, high = scores["interval"]
    assert f"{scores['accuracy'] * 100:.1f} % ({low * 100:.0f} to {high * 100:.0f} %)" in text_of(app)
    assert f"{scores['parameters']:,}" in text_of(app)


def test_a_song_gets_the_predictors_prediction(app, runs, tmp_path):
    (tmp_path / "song.wav").write_bytes(song())
    prediction = load_predictor(runs / "one").predict_file(tmp_path / "song.wav")
    given(app, ("song.wav", song()))
    assert app.metric[0].value == prediction.genre and f"{prediction.probability:.0%}" in app.metric[0].delta
    assert "correct" in text_of(app) or "guess" in text_of(app)
    shown = " ".join(element.proto.body for element in app.get("html"))
    for name, probability in zip(CLASSES, prediction.probabilities, strict=True):
        assert f'aria-label="{name}: {probability:.0%}"' in shown
    assert 'aria-label="Spectrogram over time' in shown


def test_names_of_files_and_classes_are_never_markup(monkeypatch, tmp_path):
    name, folder = "<b>*:red[x]*", tmp_path / "[x](y)" / "bundle"
    shutil.copytree(PRETRAINED / "a", folder)
    config = json.loads((folder / "config.json").read_text())
    config["classes"][:3] = [name, "$a$", "`c`"]
    (folder / "config.json").write_text(json.dumps(config))
    monkeypatch.setenv("GENRECLF_RUNS", str(tmp_path))
    page = testing.AppTest.from_file(str(APP), default_timeout=SECONDS).run()
    page.sidebar.selectbox[0].set_value("[x](y)").run()
    page.sidebar.selectbox[1].set_value("a (pretrained)").run()
    given(page, ("![i](http://x) :smile: *b* www.x.de me@e.x.wav", song()))
    markdown = text_of(page) + " ".join(
        str(element.value) for kind in ("subheader", "metric") for element in page.get(kind)
    )
    for raw in ("<b>", ":red[", "$a$", "`c`", "![i]", ":smile:", "*b*", "[x](y)", "www.", "://", "@e"):
        assert raw not in markdown, raw
    bodies = " ".join(element.proto.body for element in page.get("html"))
    assert "<b>" not in bodies and html.escape(name) in bodies


@pytest.mark.parametrize("seconds", [0.003, 0.96, 90_000.0])
def test_a_model_of_pictures_of_any_length_can_be_chosen(monkeypatch, tmp_path, seconds):
    folder = tmp_path / "\udce9\u202e" / "bundle"  # a name that is not UTF-8
    shutil.copytree(PRETRAINED / "a", folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "picture_seconds": seconds}))
    monkeypatch.setenv("GENRECLF_RUNS", str(tmp_path))
    page = testing.AppTest.from_file(str(APP), default_timeout=SECONDS).run()
    page.sidebar.selectbox[0].set_value(r"\udce9\u202e").run()
    assert not page.exception and page.sidebar.number_input[0].value == seconds


def test_a_part_of_the_song_is_looked_at(app):
    given(app, ("song.wav", song(20)))
    slider = app.select_slider[0]
    before = [element.proto.body for element in app.get("html")]
    slider.set_value(0).run()
    part = words.plain(slider.options[1])
    assert not app.exception and part in text_of(app)
    assert [element.proto.body for element in app.get("html")][-1] != before[-1]  # the attention is drawn


def test_two_models_stand_side_by_side(app):
    app.sidebar.selectbox[1].set_value("two").run()
    given(app, ("song.wav", song()))
    assert len(app.metric) == 2 and all(metric.value in CLASSES for metric in app.metric)
    assert any(word in app.info[0].value for word in ("Both", "disagree"))


def test_three_pitches_are_asked_for_by_the_toggle(app, monkeypatch):
    from genreclf.app.state import load_model  # with streamlit behind it, which may be absent

    asked = []

    def noted(folder, tta, changed):
        asked.append(tta)
        return load_model(folder, tta, changed)

    monkeypatch.setattr("genreclf.app.classify.load_model", noted)
    given(app, ("song.wav", song()))
    assert set(asked) == {"none"}
    asked.clear()
    app.sidebar.toggle[0].set_value(True).run()
    assert not app.exception and app.metric[0].value in CLASSES and set(asked) == {"pitch_shift"}


def test_several_files_are_a_table_and_an_unreadable_one_has_its_reason(app):
    given(app, ("a.wav", song(6, 1)), ("b.wav", b"no sound at all"), ("c.wav", song(6, 2)))
    table = app.dataframe[0].value
    assert list(table["file"]) == ["a.wav", "b.wav", "c.wav"]
    assert "b.wav" in table["note"][1] and "audio" in table["note"][1] and "b.wav" not in table["note"][0]
    assert table["genre"][0] in CLASSES and table["genre"][2] in CLASSES


def test_a_recording_and_a_demo_are_classified(app):
    app.audio_input[0].upload("x.wav", song(6))
    app.run()
    assert not app.exception and "recording" in app.subheader[0].value and app.metric


def hours() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(3 * 3_600 * 1_000, np.int16), 1_000, format="WAV")
    return file.getvalue()


WRONG = {
    "text.mp3": (lambda: b"this is no music " * 50, "audio"),
    "empty.wav": (lambda: b"", "empty"),
    "large.png": (lambda: picture(np.zeros((20_000, 20_000), np.uint8)), "more than"),
    "broken.png": (lambda: b"\x89PNG\r\n\x1a\n" + b"x" * 50, "picture"),
    "hours.wav": (hours, "1 hour"),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_unreadable_file_is_a_sentence_on_the_page(app, name):
    content, said = WRONG[name]
    given(app, (name, content()))
    assert len(app.error) == 1 and app.error[0].value.replace("\\", "").startswith(name) and said in app.error[0].value
    assert not app.metric


def test_a_doubtful_file_is_classified_with_a_warning(app):
    given(
        app, ("noise.png", picture(np.random.default_rng(0).integers(0, 256, (128, 30), np.uint8)))
    )  # too narrow to judge
    assert "not look" in app.warning[0].value and app.metric[0].value in CLASSES


SILENCE = song(6)[:44] + bytes(6 * 2 * SAMPLE_RATE_HZ)


PHOTO = picture(np.random.default_rng(0).integers(0, 256, (128, 200, 4), np.uint8), "JPEG", "CMYK")


@pytest.mark.parametrize(
    ("name", "content", "why"), [("silence.wav", SILENCE, "silence"), ("cmyk.jpg", PHOTO, "no mel spectrogram")]
)
def test_a_file_without_music_has_a_reason_in_place_of_its_genre(app, name, content, why):
    given(app, (name, content))
    assert not app.metric and why in app.warning[0].value
    assert not any("aria-label" in element.proto.body for element in app.get("html"))
    assert len(app.get("download_button")) == 3


def test_music_of_none_of_the_genres_has_the_reason_in_place_of_its_genre(tmp_path, monkeypatch):
    copied("a", tmp_path / "strict", {"offset": 0.0, "slope": 1.0, "threshold": 1.0})
    monkeypatch.setenv("GENRECLF_RUNS", str(tmp_path))
    page = testing.AppTest.from_file(str(APP), default_timeout=SECONDS).run()
    page.sidebar.selectbox[0].set_value("strict").run()
    given(page, ("song.wav", song()))
    assert not page.metric and "none of these genres" in page.warning[0].value
    assert any("aria-label" in element.proto.body for element in page.get("html"))  # the probabilities are shown
    assert "correct" not in text_of(page)


def test_so_does_a_line_of_the_table(app):
    given(app, ("silence.wav", SILENCE), ("song.wav", song()))
    silent, music = app.dataframe[0].value.to_dict("records")
    assert silent["genre"] == "" and "silence" in silent["note"] and music["genre"] in CLASSES


def test_without_any_model_the_page_says_how_to_get_one(tmp_path, monkeypatch):
    monkeypatch.setenv("GENRECLF_RUNS", str(tmp_path))
    monkeypatch.setattr("genreclf.inference.run_folder.PRETRAINED", tmp_path / "none")
    page = testing.AppTest.from_file(str(APP), default_timeout=SECONDS).run()
    assert not page.exception and "genreclf train" in page.error[0].value and "GENRECLF_RUNS" in page.error[0].value


def test_the_command_starts_streamlit_with_the_users_options(monkeypatch):
    calls = []
    monkeypatch.setattr("streamlit.web.cli.main", lambda words, prog_name: calls.append(words))
    for setting in ("gc.freeze", "genreclf.app.__main__._return_large_blocks"):  # this process is not the app's
        monkeypatch.setattr(setting, lambda: None)
    main(["--server.port", "8600"])
    ((command, file, *options),) = calls
    assert command == "run" and Path(file) == APP and options == ["--server.port", "8600"]


def test_the_settings_lie_where_streamlit_reads_them_whatever_the_working_folder():
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
