"""Predictions by a model that is plain arithmetic, so that each number has an independent reference."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_pictures import tiny_picture

from genreclf.errors import GenreclfError
from genreclf.frontend.clip import Clip
from genreclf.frontend.picture import write_picture
from genreclf.frontend.segments import ViewConfig
from genreclf.inference.known import Known
from genreclf.inference.model_info import ModelInfo, ModelOutput
from genreclf.inference.predictor import Predictor, load_predictor
from genreclf.inference.results import file_row, flat, show_table
from genreclf.inference.temperature import apply_temperature, length_factor
from genreclf.inference.tta import TTA

CROP, WHOLE = ViewConfig("crop", 256, 128, 0.0), ViewConfig("whole", 1292, 646, 0.1)
FRAME_SECONDS = 512 / 22_050


class Arithmetic:
    """A model whose probabilities and attention are simple functions of a segment's levels."""

    weights_sha256 = "0"

    def __init__(self, view: ViewConfig, frames_per_column: float = 1.0, temperature: float = 1.5) -> None:
        self.info = ModelInfo("test", ("x", "y", "z"), view, 30.0, frames_per_column, temperature)
        self.batches: list[int] = []

    def predict_proba(self, segments: np.ndarray) -> ModelOutput:
        self.batches.append(len(segments))
        parts = segments.reshape(len(segments), 128, 8, 32).mean((1, 3))  # (N, 8) means over time
        logits = parts[:, [0, 3, 7]] / 30
        shares = np.exp(logits - logits.max(1, keepdims=True))
        attention = (parts + 1) / (parts + 1).sum(1, keepdims=True)
        return ModelOutput(shares / shares.sum(1, keepdims=True), attention, parts)


def clip_of(levels: np.ndarray, frames: int | None = None, note: str = "") -> Clip:
    return Clip(levels, frames or levels.shape[1], 22_050, 1.0, note)


def noise(columns: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 256, (128, columns), dtype=np.uint8)


def softmax(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True)


def test_a_clip_is_the_mean_of_its_segments_with_the_temperature_applied_to_the_mean():
    model, levels = Arithmetic(CROP), noise(512)
    prediction = Predictor(model).predict(clip_of(levels, note="clipped"))
    starts = [0, 128, 256]
    means = np.stack([model.predict_proba(levels[None, :, start : start + 256]).probabilities[0] for start in starts])
    expected = softmax(np.log(means.mean(0)) / (1.5 * (1292 / 512) ** 0.15))
    np.testing.assert_allclose(prediction.probabilities, expected, rtol=1e-12)
    assert prediction.genre == "xyz"[expected.argmax()] and prediction.probability == expected.max()
    by_segment = np.array([segment.probabilities for segment in prediction.segments])
    np.testing.assert_allclose(by_segment, softmax(np.log(means) / (1.5 * (1292 / 430) ** 0.15)), rtol=1e-12)
    assert [segment.start_seconds for segment in prediction.segments] == [start * FRAME_SECONDS for start in starts]
    assert prediction.segments[-1].end_seconds == prediction.seconds == 512 * FRAME_SECONDS
    assert prediction.note == "clipped"
    parts = np.stack([levels[:, start : start + 256].reshape(128, 8, 32).mean((0, 2)) for start in starts])
    np.testing.assert_allclose(prediction.embedding, parts.mean(0))


def test_silence_around_the_music_changes_only_the_times():
    levels, predictor = noise(700), Predictor(Arithmetic(CROP))
    plain = predictor.predict(clip_of(levels))
    later = predictor.predict(clip_of(np.pad(levels, ((0, 0), (215, 90)))))
    assert later.probabilities == plain.probabilities
    assert [s.probabilities for s in later.segments] == [s.probabilities for s in plain.segments]
    shift = 215 * FRAME_SECONDS
    assert [s.start_seconds - shift for s in later.segments] == pytest.approx([s.start_seconds for s in plain.segments])
    assert later.segments[-1].end_seconds == pytest.approx(plain.segments[-1].end_seconds + shift)
    assert later.seconds == pytest.approx(1_005 * FRAME_SECONDS)
    assert later.attention is not None and later.attention.shape == (1_005,)
    assert not later.attention[:215].any() and not later.attention[915:].any()
    assert later.attention[215:915].mean() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("view", [WHOLE, CROP])
def test_a_model_of_downsampled_spectrograms_reads_audio_in_their_time_steps(view):
    predictor = Predictor(Arithmetic(view, 1_293 / 387))
    audio = noise(1_293)
    picture = audio[:, ((np.arange(387) + 0.5) * 1_293 / 387).astype(int)]
    from_audio, from_picture = (predictor.predict(clip_of(levels, 1_293)) for levels in (audio, picture))
    assert from_audio.probabilities == from_picture.probabilities
    assert from_audio.segments == from_picture.segments


def test_attention_is_placed_where_the_model_attends():
    levels = np.full((128, 256), 1, np.uint8)
    levels[:, 64:96] = 200  # the third of eight time steps
    attention = Predictor(Arithmetic(CROP)).predict(clip_of(levels)).attention
    assert attention is not None
    assert set(np.flatnonzero(attention > 1)) == set(range(64, 96))


def test_a_clip_shorter_than_a_segment_has_a_note_that_it_is_repeated():
    predictor = Predictor(Arithmetic(CROP))
    assert "repeated" in predictor.predict(clip_of(noise(100))).note
    assert predictor.predict(clip_of(noise(256))).note == ""
    stretched = Predictor(Arithmetic(WHOLE))  # within the tolerance: stretched, not repeated
    assert stretched.predict(clip_of(noise(1_200))).note == ""


def test_a_model_whose_output_is_not_finite_is_damaged():
    class Damaged(Arithmetic):
        def predict_proba(self, segments: np.ndarray) -> ModelOutput:
            output = super().predict_proba(segments)
            return output._replace(probabilities=output.probabilities * np.nan)

    with pytest.raises(GenreclfError, match=r"test: .*not finite"):
        Predictor(Damaged(CROP)).predict(clip_of(noise(256)))


def test_an_unsuitable_clip_has_no_genre_but_a_reason_in_all_forms(tmp_path):
    clip = Clip(noise(300), 300, 22_050, 7.0, "clipped", "silence: nothing to hear")
    model = Arithmetic(CROP)
    prediction = Predictor(model).predict(clip)
    assert not model.batches and (prediction.genre, prediction.probability, prediction.probabilities) == ("", 0.0, ())
    assert prediction.no_genre == clip.unsuitable and not prediction.segments and not prediction.embedding.size
    for segments in (False, True):
        row = file_row(Path("x.wav"), prediction, model.info.classes, segments)
        assert row["genre"] is row["probability"] is None and row["problem"] == "" and row["probabilities"] == {}
        assert row["note"] == "silence: nothing to hear; clipped"
        (record,) = flat([row], model.info.classes, segments)
        assert record["genre"] is record["p_x"] is None and record["note"] == row["note"] and record["seconds"] > 6
        show_table([row], 3, segments)


def test_out_of_scope_music_has_no_genre_but_the_nearest_one_in_all_forms():
    model, clip = Arithmetic(CROP), clip_of(noise(300))
    sure = Predictor(model).predict(clip)
    assert sure.known is None and sure.genre == model.info.classes[int(np.argmax(sure.probabilities))]
    weights = (0.4, -0.3, 0.2)
    expected = 1 / (1 + np.exp(-0.5 - np.log(np.maximum(sure.probabilities, 0.02)) @ weights))
    for threshold, told in ((expected - 1e-6, True), (expected + 1e-6, False)):
        model.info = replace(model.info, known=Known(0.5, weights, threshold), shares=(0.7, 0.2, 0.1), prior_power=0.0)
        prediction = Predictor(model).predict(clip)
        assert prediction.known == pytest.approx(expected) and prediction.probabilities == sure.probabilities
        assert (prediction.genre, prediction.no_genre == "") == (sure.genre if told else "", told)
        assert Predictor(model, prior="training").predict(clip).known == prediction.known  # for any requested mix
        for segments in (False, True):
            row = file_row(Path("x.wav"), prediction, model.info.classes, segments)
            assert row["known"] == prediction.known and sum(row["probabilities"].values()) == pytest.approx(1)
            assert (row["genre"], row["probability"] is None) == (sure.genre if told else None, not told)
            assert told or (sure.genre in row["note"] and "none of these" in row["note"])
            for record in flat([row], model.info.classes, segments):
                assert (record["genre"] is None) == (not told) and record["known"] == prediction.known
                assert record["p_x"] > 0
            show_table([row], 3, segments)


def test_a_prior_changes_clip_and_segments_and_the_digest():
    model, clip = Arithmetic(CROP), clip_of(noise(300))
    model.info = replace(model.info, prior_power=0.0, shares=(0.7, 0.2, 0.1))
    plain, mixed = Predictor(model), Predictor(model, prior="training")
    assert Predictor(model, prior="uniform").digest == plain.digest != mixed.digest
    before, after = plain.predict(clip), mixed.predict(clip)
    pairs = [(before.probabilities, after.probabilities)]
    pairs += [(a.probabilities, b.probabilities) for a, b in zip(before.segments, after.segments, strict=True)]
    for old, new in pairs:
        expected = np.array(old) * model.info.shares
        np.testing.assert_allclose(new, expected / expected.sum())
    assert after.genre == model.info.classes[int(np.argmax(after.probabilities))]


@given(st.integers(1, 3_000), st.sampled_from(sorted(TTA)))
def test_segments_come_in_bounded_batches_and_progress_reaches_the_end(frames, tta):
    model, done = Arithmetic(ViewConfig("any", 20, 10, 0.0)), []
    prediction = Predictor(model, tta).predict(clip_of(noise(frames)), report=done.append)
    assert sum(model.batches) == len(prediction.segments) * len(TTA[tta]) and max(model.batches) <= 32
    assert done == sorted(done) and done[-1] == 1
    assert sum(prediction.probabilities) == pytest.approx(1)


@given(st.lists(st.floats(1e-6, 1), min_size=2, max_size=6), st.floats(0.05, 20))
def test_temperature_is_the_softmax_of_scaled_logarithms(weights, temperature):
    probabilities = np.array(weights) / sum(weights)
    calibrated = apply_temperature(probabilities, temperature)
    np.testing.assert_allclose(calibrated, softmax(np.log(probabilities) / temperature), atol=1e-9)
    assert (np.argsort(calibrated, kind="stable") == np.argsort(probabilities, kind="stable")).all() or temperature > 5


@given(st.integers(1, 10_000), st.integers(1, 10_000))
def test_the_temperature_is_no_lower_for_less_music_and_one_from_30_s_on(frames, more):
    assert length_factor(frames) >= length_factor(frames + more) >= length_factor(1_292) == length_factor(50_000) == 1
    assert length_factor(frames) <= length_factor(1) == length_factor(430) == pytest.approx(1.18, abs=0.002)


def test_a_clip_of_one_segment_has_the_segments_probabilities():
    for frames in (100, 256, 1_200):
        prediction = Predictor(Arithmetic(WHOLE if frames > 256 else CROP)).predict(clip_of(noise(frames)))
        (segment,) = prediction.segments
        assert segment.probabilities == prediction.probabilities


def test_certain_probabilities_stay_finite():
    for temperature in (0.05, 20.0):
        calibrated = apply_temperature(np.eye(3), temperature)
        assert np.isfinite(calibrated).all() and (calibrated.argmax(1) == np.arange(3)).all()


def test_predictors_that_differ_have_different_digests():
    same = [Predictor(Arithmetic(CROP)).digest for _ in range(2)]
    others = [Predictor(Arithmetic(WHOLE)), Predictor(Arithmetic(CROP, 2.0)), Predictor(Arithmetic(CROP), "flip")]
    weights = Arithmetic(CROP)
    weights.weights_sha256 = "1"
    assert len({*same}) == 1
    assert len({same[0], Predictor(weights).digest, *(other.digest for other in others)}) == 5


def test_an_unknown_tta_is_refused_with_the_known_ones():
    with pytest.raises(GenreclfError, match=r"tta=twelve.*none, pitch_shift, flip, six"):
        Predictor(Arithmetic(CROP), "twelve")


def test_a_pretrained_model_predicts_a_file(tmp_path):
    write_picture(tmp_path / "p.png", tiny_picture(387, np.random.default_rng(0)))
    predictor = load_predictor("a", device="cpu")
    prediction = predictor.predict_file(tmp_path / "p.png")
    assert len(prediction.probabilities) == len(predictor.info.classes) and prediction.known is not None
    assert prediction.seconds == pytest.approx(30, abs=0.05)
    assert prediction.attention is not None and prediction.embedding.ndim == 1
