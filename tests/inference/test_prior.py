import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genreclf.errors import GenreclfError
from genreclf.frontend.segments import ViewConfig
from genreclf.inference.known import Known
from genreclf.inference.model_info import ModelInfo
from genreclf.inference.prior import prior_factors, with_prior

VIEW = ViewConfig("crop", 256, 128, 0.0)
INFO = ModelInfo("test", ("x", "y", "z"), VIEW, 30.0, 1.0, 1.5, 0.0, (0.5, 0.3, 0.2), Known(1.0, (0.5, -0.3, 0.2), 0.3))


def test_the_models_own_mix_changes_nothing():
    for prior, info in ((None, INFO), ("uniform", INFO), ("training", replace(INFO, prior_power=1.0))):
        assert prior_factors(prior, info) is None
    probabilities = np.array([0.2, 0.3, 0.5])
    assert with_prior(probabilities, None) is probabilities


@given(st.lists(st.floats(0.01, 1), min_size=3, max_size=3), st.integers(0, 1_000))
def test_from_one_mix_to_the_other_is_bayes_rule(weights, seed):
    """Converts the posteriors for two mixes with the same likelihoods into each other."""
    shares = np.array(weights) / sum(weights)
    likelihood = np.random.default_rng(seed).dirichlet(np.ones(3), 4)  # (4, classes)
    uniform, training = (p / p.sum(1, keepdims=True) for p in (likelihood, likelihood * shares))
    info = replace(INFO, shares=tuple(shares))
    np.testing.assert_allclose(with_prior(uniform, prior_factors("training", info)), training, rtol=1e-9)
    back = prior_factors("uniform", replace(info, prior_power=1.0))
    np.testing.assert_allclose(with_prior(training, back), uniform, rtol=1e-9)
    between = with_prior(uniform, shares**0.3)
    half = replace(info, prior_power=0.3)
    np.testing.assert_allclose(with_prior(between, prior_factors("uniform", half)), uniform, rtol=1e-9)
    np.testing.assert_allclose(with_prior(between, prior_factors("training", half)), training, rtol=1e-9)


def test_a_file_gives_any_mix_and_may_rule_a_genre_out(tmp_path):
    file = tmp_path / "mix.csv"
    file.write_text("genre,weight\nz,300\nx,100\ny,0\n")
    np.testing.assert_allclose(
        with_prior(np.array([0.2, 0.5, 0.3]), prior_factors(str(file), INFO)), [2 / 11, 0, 9 / 11]
    )
    trained = prior_factors(str(file), replace(INFO, prior_power=1.0))
    np.testing.assert_allclose(trained, np.array([100 / 0.5, 0, 300 / 0.2]) / 300)
    file.write_text("genre,weight\nz,3e307\nx,1e307\ny,0\n")
    np.testing.assert_allclose(prior_factors(str(file), replace(INFO, prior_power=1.0)), trained)


def test_a_file_may_be_as_spreadsheets_write_it(tmp_path):
    file = tmp_path / "mix.csv"
    file.write_bytes("\ufeffgenre;weight\r\nz;300\r\nx;100\r\ny;0\r\n;\r\n".encode("utf-16-le"))
    spaced = tmp_path / "plain.csv"
    spaced.write_text("genre,weight\nz,300\nx,100\ny,0\n")
    np.testing.assert_array_equal(prior_factors(str(file), INFO), prior_factors(str(spaced), INFO))


@pytest.mark.parametrize(
    "content",
    [
        "Genre;Weight\nZ;300\nX;100\nY;0\n",
        "weight\t genre \n300\t z \n100\tx\n0\ty\n",
        '"number","WEIGHT","genre"\n1,0.3,z\n2,.1,x\n3,0,y\n',
        "sep=;\r\ngenre;weight\r\nz;0,75\r\nx;0,25\r\ny;0,000\r\n",
        'genre,weight\nz,"0,375"\nx,"0,125"\ny,0\n',
        "genre|weight\n\nx|1e2\ny|0\nz|3e2\n",
    ],
)
def test_columns_may_have_any_case_order_and_separator(tmp_path, content):
    file, plain = tmp_path / "mix.csv", tmp_path / "plain.csv"
    file.write_text(content, "utf-8-sig")
    plain.write_text("genre,weight\nz,300\nx,100\ny,0\n")
    np.testing.assert_allclose(prior_factors(str(file), INFO), prior_factors(str(plain), INFO))


def test_genres_may_have_any_spelling_but_an_exact_one_counts_first(tmp_path):
    file = tmp_path / "mix.csv"
    file.write_text("genre,weight\nHip-Hop,1\nÉlectro,2\nR & B,4\n")
    classes = replace(INFO, classes=("hiphop", "electro", "randb"))
    np.testing.assert_allclose(prior_factors(str(file), classes), [0.25, 0.5, 1])
    file.write_text("genre,weight\nrnb,1\nRNB,2\nx,4\n")
    np.testing.assert_allclose(prior_factors(str(file), replace(INFO, classes=("x", "RNB", "rnb"))), [1, 0.5, 0.25])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file.*uniform, training, or a CSV"),
        ("x,1\ny,1\nz,1\n", "columns genre and weight"),
        ("genre,weight\nx,1\ny,many\nz,1\n", "line 3.*number"),
        ("genre,weight\nx,1\ny\nz,1\n", "line 3.*number"),
        ("genre,weight\nx,1\ny,1\nz,1,1\n", "line 4.*more cells"),
        ("genre,weight\nx,1\ny,1\nz,1\nx,2\n", "line 5: 'x'"),
        ("genre,weight\nx,1\ny,1\n", "no weight for 'z'"),
        ("genre,weight\nx,1\ny,1\nz,1\nska,1\n", "no genre 'ska'.*x, y, z"),
        ("genre,weight\nx,1\ny,-1\nz,1\n", "at least 0"),
        ("genre,weight\nx,0\ny,0\nz,0\n", "one is above 0"),
        ('genre,weight\nx,"1,000"\ny,1\nz,1\n', "line 2: x: '1,000'.*number"),
        ("genre,weight\nx,nan\ny,1\nz,1\n", "at least 0"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(tmp_path, content, message):
    file = tmp_path / "mix.csv"
    if content is not None:
        file.write_text(content)
    with pytest.raises(GenreclfError, match=f"^prior={file}: .*{message}"):
        prior_factors(str(file), INFO)


def test_a_model_that_does_not_know_its_shares_cannot_change_the_mix():
    old = replace(INFO, prior_power=1.0, shares=None)
    with pytest.raises(GenreclfError, match=r"prior=uniform: model test.*shares"):
        prior_factors("uniform", old)
    assert prior_factors("training", old) is None


def test_a_models_info_survives_json_and_older_ones_lack_the_mix_and_known():
    assert ModelInfo.from_dict(json.loads(json.dumps(INFO.to_dict()))) == INFO
    older = {key: value for key, value in INFO.to_dict().items() if key not in ("prior_power", "shares", "known")}
    assert ModelInfo.from_dict(older) == replace(INFO, prior_power=1.0, shares=None, known=None)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("prior_power", 1.5),
        ("shares", [1.0, 2.0]),
        ("shares", [1.0, 0.0, 1.0]),
        ("known", {"offset": 1.0}),
        ("known", {"offset": 1.0, "weights": [1.0, 2.0], "threshold": 0.5}),
        ("known", {"offset": 1.0, "weights": [1.0, 2.0, float("nan")], "threshold": 0.5}),
        ("known", 3),
    ],
)
def test_values_that_no_model_can_have_are_refused(key, value):
    with pytest.raises(GenreclfError, match=key):
        ModelInfo.from_dict({**INFO.to_dict(), key: value})
