import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GroupKFold

from genreclf.data.teacher import COMPONENTS, Taught, teacher_vectors
from genreclf.errors import GenreclfError

PATHS = ["rock/a.wav", "rock/b.mp3", "jazz/blues00003.png", "jazz/unheard.flac"]
NAMES = ["b", "rock/a.wav", "blues.00003", "other"]


def training(clips, genres=None, groups=None):
    """Training clips; without `groups` all are of one group, so that there are no genre scores."""
    genres = np.ones((len(clips), 1)) if genres is None else genres
    return Taught(clips, genres, [0] * len(clips) if groups is None else groups)


@pytest.fixture
def vectors():
    return np.random.default_rng(0).normal(size=(4, 6)) * [5, 1, 1, 1, 1, 1] + 3


def test_vectors_are_found_by_path_or_name_and_others_are_told(tmp_path, vectors, capsys):
    np.savez(tmp_path / "t.npz", clip=NAMES, one=vectors)
    found = teacher_vectors(tmp_path / "t.npz", PATHS, training([0, 1, 2, 3]))
    assert found.dtype == np.float32 and np.isnan(found[3]).all() and np.isfinite(found[:3]).all()
    taught = vectors[[1, 0, 2]]
    expected = PCA(2, whiten=True).fit(taught).transform(taught) * np.sqrt(3 / 2)  # scikit-learn divides by n - 1
    np.testing.assert_allclose(np.abs(found[:3]), np.abs(expected), atol=1e-4)
    assert "1 of 4 clips" in (told := capsys.readouterr().err) and "unheard.flac" in told


def test_components_are_those_of_the_training_clips_alone(tmp_path):
    rng = np.random.default_rng(1)
    vectors, paths = rng.normal(size=(300, 200)), [f"x/{i}.wav" for i in range(300)]
    np.savez(tmp_path / "t.npz", clip=paths, one=vectors, two=vectors[:, :5])
    found = teacher_vectors(tmp_path / "t.npz", paths, training(range(200)))
    assert found.shape == (300, COMPONENTS + 5)
    np.testing.assert_allclose(found[:200].mean(0), 0, atol=1e-5)
    for teacher in (found[:200, :COMPONENTS], found[:200, COMPONENTS:]):
        np.testing.assert_allclose(teacher.T @ teacher / 200, np.eye(teacher.shape[1]), atol=1e-4)
    changed = vectors.copy()
    changed[200:] += 100
    np.savez(tmp_path / "u.npz", clip=paths, one=changed, two=changed[:, :5])
    np.testing.assert_array_equal(teacher_vectors(tmp_path / "u.npz", paths, training(range(200)))[:200], found[:200])


def test_genre_scores_are_fitted_to_other_groups(tmp_path):
    rng = np.random.default_rng(2)
    genre, groups = rng.integers(0, 4, 120), np.repeat(np.arange(40), 3)  # the last genre stands for out-of-scope clips
    genres = np.eye(4)[genre][:, :3]
    vectors, paths = rng.normal(size=(150, 20)), [f"x/{i}.wav" for i in range(150)]
    vectors[:120, :3] += 3 * genres
    np.savez(tmp_path / "t.npz", clip=paths, one=vectors)
    found = teacher_vectors(tmp_path / "t.npz", paths, training(range(120), genres, groups))[:, COMPONENTS:]

    components = PCA(whiten=True).fit(vectors[:120]).transform(vectors) * np.sqrt(120 / 119)
    scores = Ridge(300).fit(components[:120], genres).predict(components)
    for others, part in GroupKFold(8).split(components[:120], groups=groups):
        scores[part] = Ridge(300).fit(components[others], genres[others]).predict(components[part])
    expected = PCA(whiten=True).fit(scores[:120]).transform(scores) * np.sqrt(120 / 119)
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-3)
    linear = LogisticRegression().fit(found[:80], genre[:80])
    assert linear.score(found[80:120], genre[80:]) > 0.6  # chance is 0.25


def test_genres_that_say_nothing_of_the_vectors_cannot_be_read_from_the_scores(tmp_path):
    """Scores from a fit to the same clips would name the genre of most of them: 40 components, 60 clips."""
    rng = np.random.default_rng(3)
    genre, paths = rng.integers(0, 2, 60), [f"x/{i}.wav" for i in range(60)]
    np.savez(tmp_path / "t.npz", clip=paths, one=rng.normal(size=(60, 40)))
    found = teacher_vectors(tmp_path / "t.npz", paths, training(range(60), np.eye(2)[genre], range(60)))[:, COMPONENTS:]
    correlation = found.T @ (genre - genre.mean()) / 60 / genre.std()
    assert np.abs(correlation).max() < 0.3  # 0.9 with leaking scores


def test_parquet_gives_the_same(tmp_path, vectors):
    np.savez(tmp_path / "t.npz", clip=NAMES, one=vectors)
    pyarrow.parquet.write_table(pa.table({"clip": NAMES, "one": vectors.tolist()}), tmp_path / "t.parquet")
    one, other = (teacher_vectors(tmp_path / name, PATHS, training([0, 1, 2])) for name in ("t.npz", "t.parquet"))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"one": np.zeros((2, 3))}, "'clip'"),
        ({"clip": ["a", "b"]}, "no vectors"),
        ({"clip": ["a", "b"], "one": np.zeros((3, 3))}, r"'one' has shape \(3, 3\).*one vector per clip"),
        ({"clip": ["a", "b"], "one": np.zeros(2)}, r"'one' has shape \(2,\).*one vector per clip"),
        ({"clip": ["a", "b"], "one": [[0.0], [np.inf]]}, "not finite"),
        ({"clip": ["a", "b"], "one": [[0.0], [1e300]]}, "above 1e"),
        ({"clip": ["a", "b"], "one": [[0.0], [1j]]}, "cannot be read"),
        ({"clip": ["a", "b"], "one": np.ones((2, 3))}, "'one' is the same for all training clips"),
        ({"clip": ["a", "a"], "one": np.zeros((2, 3))}, "two vectors for 'a'"),
        ({"clip": ["y", "z"], "one": np.zeros((2, 3))}, "none of its 2 names matches.*'y'.*'rock/a.wav'"),
        ({"clip": ["a", "z"], "one": np.zeros((2, 3))}, "1 training clips"),
        ({"clip": np.array(["a", None], object), "one": np.zeros((2, 3))}, "cannot be read"),
    ],
)
def test_a_file_that_cannot_teach_is_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "t.npz", **arrays)
    with pytest.raises(GenreclfError, match=f"^teacher={tmp_path}/t.npz: .*{message}"):
        teacher_vectors(tmp_path / "t.npz", PATHS, training([0, 1, 2]))


@pytest.mark.parametrize("name", ["t.npz", "t.parquet"])
@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 cut short", b"PAR1 no table PAR1", b"\x80\x04N."])
def test_a_damaged_or_missing_file_is_one_line(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(
        GenreclfError, match=rf"^teacher={tmp_path}/{name}: cannot be read .*\.npz or \.parquet"
    ) as error:
        teacher_vectors(tmp_path / name, PATHS, training([0, 1, 2]))
    assert "\n" not in str(error.value) and "pickle" not in str(error.value)
