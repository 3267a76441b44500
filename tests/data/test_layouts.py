import pytest
from data_config import fill

from genreclf.data.layouts import kaggle_folder
from genreclf.data.sources import Source, list_sources
from genreclf.errors import GenreclfError

AUDIO = ("genres_original/blues/blues.00000.wav", "genres_original/jazz/jazz.00054.wav")
PICTURES = ("images_original/blues/blues00000.png", "images_original/jazz/jazz00001.png")


# --- Kaggle's GTZAN ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("above", ["", "Data/"])
def test_kaggles_audio_is_taken_and_the_pictures_named(tmp_path, capsys, above):
    fill(tmp_path, *(above + name for name in (*AUDIO, *PICTURES, "features_30_sec.csv")))
    assert kaggle_folder(tmp_path) == tmp_path / above / "genres_original"
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and f"give data.path={tmp_path / above / 'images_original'}" in told


@pytest.mark.parametrize("above", ["", "Data/"])
def test_folders_of_clips_beside_kaggles_are_named(tmp_path, capsys, above):
    fill(tmp_path, *(above + name for name in (*AUDIO, *PICTURES)), "mine/polka/a.wav", above + "new/ska/b.wav")
    assert kaggle_folder(tmp_path) == tmp_path / above / "genres_original"
    told = capsys.readouterr().err
    assert told.endswith(f"ignores the clips in {', '.join(map(repr, sorted(('mine/polka', above + 'new/ska'))))}\n")


def test_without_audio_kaggles_pictures_are_taken(tmp_path):
    fill(tmp_path, *PICTURES)
    (tmp_path / "genres_original").mkdir()
    assert kaggle_folder(tmp_path) == tmp_path / "images_original"
    assert kaggle_folder(tmp_path / "images_original") is None
    assert [source.label for source in list_sources(tmp_path / "images_original")] == ["blues", "jazz"]


# --- Splits as folders ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [
        ("train", "val", "test"),
        ("Training", "valid", "TEST"),
        ("training", "development", "evaluation"),
        ("train", "test"),
        ("train",),
    ],
)
def test_folders_named_as_splits_hold_the_genres(tmp_path, capsys, names):
    fill(tmp_path, *(f"{name}/{genre}/x.wav" for name in names for genre in ("rock", "jazz")))
    assert list_sources(tmp_path) == [
        Source(f"{name}/{genre}/x.wav", genre) for name in sorted(names) for genre in ("jazz", "rock")
    ]
    assert "split=folders" in capsys.readouterr().err


def test_splits_inside_the_genres_are_splits_too(tmp_path, capsys):
    fill(tmp_path, *(f"{genre}/{name}/x.wav" for name in ("train", "val", "test") for genre in ("rock", "jazz")))
    assert {source.label for source in list_sources(tmp_path)} == {"rock", "jazz"}
    assert "folders test, train, val are a split" in capsys.readouterr().err
    fill(tmp_path, "rock/live/y.wav")  # not all: these are other folders
    assert {source.label for source in list_sources(tmp_path)} == {"rock", "jazz"}
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["train/rock/x.wav", "test/rock/x.wav", "rock/x.wav"], r"'test', 'train' are named as splits, but 'rock' "),
        (["train/x.wav", "test/y.wav"], r"but 'test/y\.wav', 'train/x\.wav' are directly"),
        (["train/rock/x.wav", "test/rock/y.wav", "test/z.wav"], r"but 'test/z\.wav' are directly"),
        (
            ["genres_original/rock/x.wav", "images_original/rock/x.png"],
            r"'images_original' are not .*data\.path=.*/genres_",
        ),
        (["audio/rock/x.wav", "pictures/rock/x.png"], r"'audio', 'pictures' are not genres"),
        (["fold 1/rock/x.wav", "fold 2/rock/x.wav"], r"'fold 1', 'fold 2' are not genres"),
        (["train/audio/rock/x.wav", "test/audio/jazz/x.wav"], r"'audio' are not genres; move .*data\.table"),
        (["genres/rock/x.wav", "genres/jazz/x.wav"], r"data\.path=.*/genres"),
        (["data/genres/rock/x.wav", "data/genres/jazz/x.wav"], r"give data\.path=.*/data/genres,"),
        (["000/000002.mp3", "001/001001.mp3"], r"'000', '001' are digits .* not genres; .*data=fma"),
        (["14/214.mp3", "15/1215.low.mp3"], r"'14', '15' are digits .* not genres; .*data=jamendo"),
        (["my music/rock/x.wav", "my music/jazz/x.wav"], r"one folder with 'jazz', 'rock' .*data\.path=.*/my music$"),
        (["a/b/rock/x.wav", "a/b/jazz/x.wav"], r"one folder with 'jazz', 'rock' .*data\.path=.*/a/b$"),
        (
            ["gtzan/Data/genres_original/rock/x.wav", "gtzan/Data/images_original/rock/x.png"],
            r"data\.path=.*/gtzan/Data$",
        ),
    ],
)
def test_other_folders_that_are_no_genres_are_refused(tmp_path, names, message):
    fill(tmp_path, *names)
    with pytest.raises(GenreclfError, match=rf"^data\.path=.*{message}"):
        list_sources(tmp_path)


def test_genres_in_a_table_make_folders_of_any_name_possible(tmp_path):
    fill(tmp_path, "train/x.wav", "test/y.wav", "audio/z.wav")
    (tmp_path / "genres.csv").write_text("path,genre\ntrain/x.wav,rock\ntest/y.wav,jazz\naudio/z.wav,jazz\n")
    assert [source.label for source in list_sources(tmp_path, tmp_path / "genres.csv")] == ["jazz", "jazz", "rock"]


def test_some_folders_with_such_names_beside_genres_are_genres(tmp_path):
    """A folder with a name such as "raw" is a genre if the others have different names."""
    fill(tmp_path, "raw/x.wav", "rock/y.wav")
    assert {source.label for source in list_sources(tmp_path)} == {"raw", "rock"}


def test_folders_that_hold_the_same_folders_are_told(tmp_path, capsys):
    fill(tmp_path, *(f"disc {disc}/{genre}/x.wav" for disc in (1, 2) for genre in ("rock", "jazz")))
    assert {source.label for source in list_sources(tmp_path)} == {"disc 1", "disc 2"}
    assert "'disc 1', 'disc 2' all have 'jazz', 'rock'" in capsys.readouterr().err
    fill(tmp_path, "disc 2/pop/x.wav", "disc 3/rock/x.wav", "disc 3/jazz/x.wav")
    list_sources(tmp_path)
    assert "'disc 1', 'disc 2', 'disc 3' all have 'jazz', 'rock'" in capsys.readouterr().err


@pytest.mark.parametrize("inside", [("fold1", "fold2"), ("train", "test"), ("audio", "images")])
def test_folders_of_no_genres_inside_the_genres_are_not_called_genres(tmp_path, capsys, inside):
    fill(tmp_path, *(f"{genre}/{name}/x.wav" for name in inside for genre in ("rock", "jazz")))
    assert {source.label for source in list_sources(tmp_path)} == {"rock", "jazz"}
    assert "if these are the genres" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("names", "told"), [("12", True), ("0f", True), ("ab", False), (("1980", "1990"), False), ("rx", False)]
)
def test_folders_of_numbers_are_taken_and_told(tmp_path, capsys, names, told):
    fill(tmp_path, *(f"{name}/x.wav" for name in names))
    assert [source.label for source in list_sources(tmp_path)] == list(names)
    assert ("data.table" in capsys.readouterr().err) == told


def test_folders_that_hold_no_folders_in_common_are_genres(tmp_path, capsys):
    fill(tmp_path, "rock/Various Artists/x.wav", "rock/Queen/x.wav", "jazz/Various Artists/x.wav", "jazz/Monk/x.wav")
    assert {source.label for source in list_sources(tmp_path)} == {"rock", "jazz"}
    assert capsys.readouterr().err == ""
