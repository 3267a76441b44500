"""The app's pages, driven as a browser would, with a net of random weights."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from bundles import CLASSES, random_bundle
from command_line import command
from PIL import Image

from genreclf.frontend.audio import SAMPLE_RATE_HZ
from genreclf.nets.bundle import save_bundle

testing = pytest.importorskip("streamlit.testing.v1")
APP = Path(__file__).resolve().parents[2] / "genreclf" / "app" / "main.py"
SECONDS = 120


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    save_bundle(folder / "one" / "bundle", random_bundle("a"))
    save_bundle(folder / "two" / "bundle", random_bundle("svm"))
    return folder


@pytest.fixture
def app(runs, monkeypatch):
    """The page that listens, with Model "one"."""
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
        str(own.value) for kind in ("markdown", "caption", "info", "warning", "error") for own in app.get(kind)
    )


def test_the_first_page_asks_for_a_sound_and_names_the_models(app):
    assert app.title[0].value == "What genre is this?"
    options = app.sidebar.selectbox[0].options
    assert options[-2:] == ["two", "one"] or options[-2:] == ["one", "two"]
    assert "Drop a song in" in text_of(app) and not app.metric


def test_a_song_gets_the_answer_of_predict(app, runs, cache, tmp_path):
    (tmp_path / "song.wav").write_bytes(song())
    said = command("predict", tmp_path / "song.wav", "--run", runs / "one", "--json", cache=cache)
    (row,) = json.loads(said.stdout)
    given(app, ("song.wav", song()))
    assert app.metric[0].value == row["genre"] and app.metric[0].delta == f"{row['probability']:.0%} sure"
    assert "right" in text_of(app) or "guess" in text_of(app)
    shown = " ".join(own.proto.body for own in app.get("html"))
    for name, share in row["probabilities"].items():
        assert f'aria-label="{name}: {share:.0%}"' in shown
    assert 'alt="Spectrogram over time' in shown


def test_a_part_of_the_song_is_looked_at(app):
    given(app, ("song.wav", song(20)))
    slider = app.select_slider[0]
    slider.set_value(slider.options[1] if not isinstance(slider.value, type(None)) else 0).run()
    assert not app.exception
    assert "by itself, it says" in text_of(app) and "weighed most" in text_of(app)


def test_two_models_stand_side_by_side(app):
    app.sidebar.selectbox[1].set_value("two").run()
    given(app, ("song.wav", song()))
    assert len(app.metric) == 2 and all(own.value in CLASSES for own in app.metric)
    assert any(word in app.info[0].value for word in ("Both say", "They disagree"))


def test_three_keys_are_asked_for_by_the_toggle(app, monkeypatch):
    from genreclf.app.state import model_of  # with streamlit behind it, which may be absent

    asked = []

    def noted(folder, tta, changed):
        asked.append(tta)
        return model_of(folder, tta, changed)

    monkeypatch.setattr("genreclf.app.listen.model_of", noted)
    given(app, ("song.wav", song()))
    assert app.metric[0].delta.endswith("sure") and set(asked) == {"none"}
    asked.clear()
    app.sidebar.toggle[0].set_value(True).run()
    assert not app.exception and app.metric[0].value in CLASSES and set(asked) == {"keys"}


def test_several_files_are_a_table_and_a_bad_one_says_why(app):
    given(app, ("a.wav", song(6, 1)), ("b.wav", b"no sound at all"), ("c.wav", song(6, 2)))
    table = app.dataframe[0].value
    assert list(table["file"]) == ["a.wav", "b.wav", "c.wav"]
    assert "cannot be read as audio" in table["problem"][1] and table["problem"][0] == ""
    assert table["genre"][0] in CLASSES and table["genre"][2] in CLASSES


def test_a_recording_and_a_demo_sound_are_heard(app):
    app.audio_input[0].upload("x.wav", song(6))
    app.run()
    assert not app.exception and app.subheader[0].value == "recording.wav"


def hours() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(3 * 3_600 * 1_000, np.int16), 1_000, format="WAV")
    return file.getvalue()


WRONG = {
    "text.mp3": (lambda: b"this is no music " * 50, "cannot be read as audio"),
    "empty.wav": (lambda: b"", "empty"),
    "large.png": (lambda: picture(np.zeros((20_000, 20_000), np.uint8)), "more than"),
    "broken.png": (lambda: b"\x89PNG\r\n\x1a\n" + b"x" * 50, "picture"),
    "hours.wav": (hours, "longer than 1 hour;"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_heard_is_a_sentence_on_the_page(app, name):
    content, said = WRONG[name]
    given(app, (name, content()))
    assert len(app.error) == 1 and name in app.error[0].value and said in app.error[0].value
    assert not app.metric


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("silence.wav", song(6)[:44] + bytes(6 * 2 * SAMPLE_RATE_HZ), "nothing to hear"),
        ("short.wav", song(0.2), "very short"),
        (
            "cmyk.jpg",
            picture(np.random.default_rng(0).integers(0, 256, (128, 200, 4), np.uint8), "JPEG", "CMYK"),
            "not look",
        ),
        ("noise.png", picture(np.random.default_rng(0).integers(0, 256, (128, 200), np.uint8)), "not look"),
    ],
)
def test_what_is_doubtful_is_answered_with_a_warning(app, name, content, said):
    given(app, (name, content))
    assert said in app.warning[0].value and app.metric[0].value in CLASSES


def test_without_any_model_the_page_says_how_to_get_one(tmp_path, monkeypatch):
    monkeypatch.setenv("GENRECLF_RUNS", str(tmp_path))
    monkeypatch.setattr("genreclf.inference.run_folder.PRETRAINED", tmp_path / "none")
    page = testing.AppTest.from_file(str(APP), default_timeout=SECONDS).run()
    assert not page.exception and "There is no trained model here" in page.error[0].value


def _scores():
    from genreclf.app import scores

    scores.page()


def _about():
    from genreclf.app import about

    about.page()


def test_scores_tells_what_to_do_where_there_are_none(runs, monkeypatch):
    monkeypatch.setenv("GENRECLF_RUNS", str(runs))
    page = testing.AppTest.from_function(_scores, default_timeout=SECONDS).run()
    assert not page.exception and "Nothing was scored" in page.info[0].value


def test_scores_shows_what_evaluate_wrote(tmp_path, monkeypatch):
    folder = tmp_path / "runs" / "x" / "evaluation" / "test"
    folder.mkdir(parents=True)
    clip = {"accuracy": 0.6, "top3_accuracy": 0.9, "calibration": {"ece": 0.04}}
    clip["intervals"] = {"accuracy": {"clustered": [0.5, 0.7], "wilson": [0.52, 0.68]}}
    (folder / "metrics.json").write_text(json.dumps({"tta": {"none": {"clip": clip}}}))
    (folder / "report.html").write_text("<h1>a page</h1>")
    monkeypatch.setenv("GENRECLF_RUNS", str(tmp_path / "runs"))
    page = testing.AppTest.from_function(_scores, default_timeout=SECONDS).run()
    assert not page.exception
    assert [own.value for own in page.metric] == ["60.0%", "90.0%", "4.0%"]
    assert page.metric[0].delta == "50% to 70% for other clips like these"


def test_scores_shows_what_compare_wrote(tmp_path, monkeypatch):
    folder = tmp_path / "comparisons" / "y"
    folder.mkdir(parents=True)
    (folder / "comparison.json").write_text("{}")
    (folder / "comparison.png").write_bytes(picture(np.zeros((4, 4), np.uint8)))
    lines = ["# Two systems", "", "![accuracies and differences](comparison.png)", "", "- equal", "", "## Systems"]
    (folder / "comparison.md").write_text("\n".join(lines))
    monkeypatch.setenv("GENRECLF_RUNS", str(tmp_path / "runs"))
    page = testing.AppTest.from_function(_scores, default_timeout=SECONDS).run()
    assert not page.exception and page.selectbox[0].options == ["y: comparison"]
    (shown,) = page.get("html")
    assert 'src="data:image/png;base64,' in shown.proto.body and "intervals" in shown.proto.body
    assert [own.value.strip() for own in page.markdown] == ["## Two systems", "- equal\n\n### Systems"]


def test_about_shows_each_models_card(runs, monkeypatch):
    monkeypatch.setenv("GENRECLF_RUNS", str(runs))
    page = testing.AppTest.from_function(_about, default_timeout=SECONDS).run()
    assert not page.exception
    assert {"one: not scored yet", "two: not scored yet"} <= {own.label for own in page.expander}
