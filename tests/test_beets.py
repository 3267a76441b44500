"""The beets plugin, with a real beets library in a temporary folder."""

from dataclasses import replace
from pathlib import Path

import mutagen
import numpy as np
import pytest
import soundfile

pytest.importorskip("beets")
from beets import config, library, plugins, ui
from beets.ui.commands import default_commands

from genreclf.data.demo import render
from genreclf.frontend.audio import SAMPLE_RATE_HZ
from genreclf.inference.predictor import Prediction, Predictor, load_predictor

# By file name: a style of the demo music, and the genre in its tags
MUSIC = {"one": ("chorale", ""), "two": ("drone", ""), "strange": ("march", ""), "polka": ("breakbeat", "Polka")}


@pytest.fixture(scope="module")
def songs(tmp_path_factory) -> Path:
    """An album of small songs."""
    folder = tmp_path_factory.mktemp("songs")
    for name, (style, genre) in MUSIC.items():
        path = folder / f"{name}.flac"
        soundfile.write(path, render(style, 0, 0, 3.0), SAMPLE_RATE_HZ)
        tags = mutagen.File(path)
        tags.update({"title": name, "artist": "Someone", "album": "Songs"} | ({"genre": genre} if genre else {}))
        tags.save()
    return folder


@pytest.fixture(scope="module")
def answers(songs) -> dict[str, Prediction]:
    """The pretrained model's prediction for each song, without beets: some are certain, and one has no genre."""
    predictor = load_predictor("a")
    found = {name: predictor.predict_file(songs / f"{name}.flac") for name in MUSIC}
    assert found["one"].genre and found["two"].genre and not found["strange"].genre
    assert found["one"].probability != found["two"].probability
    return found


class Beets:
    """A separate library, and the commands on it."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.settings = {"auto": True, "model": "a", "min": 0.0, "overwrite": False} | settings
        config.clear()
        config.read(user=False)
        config["directory"], config["threaded"] = str(folder / "lib"), False
        config["import"].set({"copy": True, "quiet": True, "autotag": False})
        config["genreclf"].set(self.settings)
        config["plugins"] = ["genreclf"]
        plugins.load_plugins()
        self.library = library.Library(str(folder / "library.db"), str(folder / "lib"))

    def run(self, *words: str) -> None:
        """Runs a command as on the command line."""
        config["genreclf"].set(self.settings)  # without the settings of an earlier command
        parser = ui.SubcommandsOptionParser()
        parser.add_subcommand(*default_commands, *plugins.commands())
        command, options, arguments = parser.parse_subcommand(list(words))
        command.func(self.library, options, arguments)

    def genres(self) -> dict[str, list[str]]:
        """Returns the genres in the library, by title."""
        return {item.title: list(item.genres or []) for item in self.library.items()}

    def in_files(self) -> dict[str, list[str]]:
        """Returns the genres in the tags of the library's files, by title."""
        return {item.title: mutagen.File(item.filepath).get("genre", []) for item in self.library.items()}


@pytest.fixture
def beets(tmp_path, monkeypatch):
    """Makes a library with these settings of the plugin."""
    monkeypatch.setenv("BEETSDIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    yield lambda **settings: Beets(tmp_path, **settings)
    plugins._instances.clear()
    plugins.BeetsPlugin.listeners.clear()
    config.clear()


def given(answers: dict[str, Prediction], least: float) -> dict[str, list[str]]:
    """Returns the genres that the rules write: never over an existing one, never below the threshold or withheld."""
    sure = {name: [one.genre] if one.genre and one.probability >= least else [] for name, one in answers.items()}
    return sure | {"polka": ["Polka"]}


def test_an_import_gives_genres_to_songs_without_one(beets, songs, answers):
    found = beets()
    found.run("import", str(songs))
    assert found.genres() == given(answers, 0.0)
    (album,) = found.library.albums()
    assert album.genres == found.genres()["one"]


def test_a_prediction_below_the_threshold_is_not_used(beets, songs, answers):
    least = (answers["one"].probability + answers["two"].probability) / 2
    found = beets(min=least)
    found.run("import", str(songs))
    assert found.genres() == given(answers, least) != given(answers, 0.0)


def test_a_multilabel_model_gives_all_genres_above_their_thresholds(beets, songs, answers, monkeypatch):
    import beetsplug.genreclf as plugin

    predictor = load_predictor("a")
    shares = np.array(predictor.predict_file(songs / "one.flac").probabilities)
    thresholds = tuple(np.where(shares >= np.sort(shares)[-2], 0.0, 1.0).tolist())
    several = {"task": "multilabel", "thresholds": thresholds, "known": None, "shares": None, "prior_power": 1.0}
    monkeypatch.setattr(predictor.model, "info", replace(predictor.info, **several))
    monkeypatch.setattr(plugin, "load_predictor", lambda _: Predictor(predictor.model))
    found = beets(auto=False, min=None)
    found.run("import", str(songs))
    for words, count in ((["--min=0.9999"], 0), ([], 2)):
        found.run("genreclf", *words, "title:one")
        assert found.genres()["one"] == [predictor.info.classes[number] for number in np.argsort(-shares)[:count]]


def test_without_auto_the_command_gives_them_and_writes_the_files(beets, songs, answers):
    found = beets(auto=False)
    found.run("import", str(songs))
    before = {name: [genre] if genre else [] for name, (_, genre) in MUSIC.items()}
    assert found.genres() == found.in_files() == before
    found.run("genreclf", "--pretend")
    assert found.genres() == found.in_files() == before
    found.run("genreclf", "title:one")
    assert found.genres() == found.in_files() == before | {"one": [answers["one"].genre]}
    found.run("genreclf")
    assert found.genres() == found.in_files() == given(answers, 0.0)


def test_overwrite_replaces_a_genre_but_not_by_a_withheld_one(beets, songs, answers):
    found = beets(auto=False)
    found.run("import", str(songs))
    (strange,) = found.library.items("title:strange")
    strange.genres = ["Waltz"]
    strange.store()
    found.run("genreclf", "--overwrite")
    assert found.genres() == {name: [answers[name].genre or "Waltz"] for name in MUSIC}
    assert answers["polka"].genre not in ("", "Polka")


def test_an_unreadable_song_does_not_affect_the_others(beets, songs, answers):
    found = beets(auto=False)
    found.run("import", str(songs))
    (lost,) = found.library.items("title:one")
    lost.filepath.unlink()
    found.run("genreclf")
    assert found.genres() == given(answers, 0.0) | {"one": []}


def test_the_model_is_loaded_once_and_only_when_it_is_needed(beets, songs, monkeypatch):
    import beetsplug.genreclf as plugin

    loaded = []

    def load(model):
        loaded.append(model)
        return load_predictor(model)

    monkeypatch.setattr(plugin, "load_predictor", load)
    found = beets()
    assert not loaded
    found.run("import", str(songs))
    found.run("genreclf")
    assert loaded == ["a"]


@pytest.mark.parametrize(("word", "key"), [("--min=3", "min=3"), ("--model=nowhere", "nowhere")])
def test_a_setting_that_cannot_be_used_is_one_line(beets, songs, word, key):
    found = beets(auto=False)
    found.run("import", str(songs))
    with pytest.raises(ui.UserError, match=key) as error:
        found.run("genreclf", word)
    assert "\n" not in str(error.value)


def test_an_import_continues_without_the_model(beets, songs):
    found = beets(model="nowhere")
    found.run("import", str(songs))
    assert set(found.genres()) == set(MUSIC)
