import dataclasses
from math import sqrt

import hydra
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from genreclf.config import build, config_folder
from genreclf.data.augment import AugmentConfig, Draws, apply, augment, draw, mix, random_spans
from genreclf.errors import GenreclfError
from genreclf.frontend.segments import ViewConfig, spans


def read_augment(name: str) -> AugmentConfig:
    with hydra.initialize_config_dir(str(config_folder()), version_base="1.3"):
        values = OmegaConf.to_container(hydra.compose(f"augment/{name}"))["augment"]
    return build(AugmentConfig, values, "augment")


ORIGINAL, NONE, MUSIC, CHANNELS = map(read_augment, ("original", "none", "music", "channels"))
CPU = torch.device("cpu")


def images(batch: int, channels: int = 1, height: int = 128, width: int = 256, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (batch, channels, height, width), dtype=torch.uint8, generator=generator)


def seeded_draws(batch: int, config: AugmentConfig = ORIGINAL, seed: int = 0) -> Draws:
    torch.manual_seed(seed)
    return draw(batch, (128, 256), config, CPU)


def slow_apply(pictures: np.ndarray, draws: Draws, mask_fill: float | None) -> np.ndarray:
    """Applies the draws to one example and one channel at a time, one change after the other, in float64."""
    out = np.zeros(pictures.shape)
    for b, example in enumerate(pictures.astype(np.float64) / 255):
        for c, picture in enumerate(example):
            x = picture.copy()
            for row in range(len(x)):
                x[row] = np.maximum(x[row] - float(draws.low_pass[b, 0, row, 0]) - float(draws.noise_floor[b]), 0)
            picture = np.maximum(x / (1 - float(draws.noise_floor[b])), float(draws.raised_floor[b]))
            for row in range(len(x)):
                below = min(max(row - int(draws.band_shift[b]), 0), len(x) - 1)
                x[row] = picture[below] + float(draws.equaliser[b, 0, row, 0])
            x = x + float(draws.brightness[b])
            x = (x - x.mean()) * float(draws.contrast[b]) + x.mean()
            fill = x.mean() if mask_fill is None else mask_fill
            if draws.flip is not None and draws.flip[b]:
                x = x[:, ::-1].copy()
            for column in range(x.shape[1]):
                if draws.time_mask[b, 0, 0, column]:
                    x[:, column] = fill
            for row in range(x.shape[0]):
                if draws.frequency_mask[b, 0, row, 0]:
                    x[row, :] = fill
            out[b, c] = np.minimum(np.maximum(x, 0), 1) * 255
    return out


def test_the_original_set_has_the_notebooks_values():
    assert (ORIGINAL.brightness, ORIGINAL.contrast, ORIGINAL.mask_share) == (0.15, 0.15, (0.02, 0.08))
    assert ORIGINAL.flip_probability == ORIGINAL.time_mask_probability == ORIGINAL.frequency_mask_probability == 0.5


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@settings(max_examples=10)
@given(
    st.integers(0, 2**31),
    st.integers(1, 3),
    st.sampled_from([(128, 256), (5, 7)]),
    st.sampled_from([ORIGINAL, CHANNELS]),
)
def test_apply_equals_a_slow_loop(dtype, seed, channels, size, config):
    batch = images(4, channels, *size, seed=seed)
    torch.manual_seed(seed)
    draws = draw(len(batch), batch.shape[2:], config, CPU)
    out = apply(batch.to(dtype), draws, config.mask_fill)
    assert out.dtype == torch.float32
    np.testing.assert_allclose(out.numpy(), slow_apply(batch.numpy(), draws, config.mask_fill), rtol=0, atol=1e-3)


def test_augment_applies_what_was_drawn():
    batch = images(6)
    torch.manual_seed(3)
    out = augment(batch, ORIGINAL)
    assert torch.equal(out, apply(batch, seeded_draws(6, seed=3), ORIGINAL.mask_fill))
    assert not torch.equal(out, apply(batch, seeded_draws(6, seed=4), ORIGINAL.mask_fill))


@pytest.mark.parametrize("config", [ORIGINAL, MUSIC, CHANNELS])
def test_no_step_waits_for_the_device(config):
    """The meta device has no values to read. On a GPU, reading a value waits for all queued work."""
    assert augment(images(2).to("meta"), config).shape == (2 * config.views, 1, 128, 256)


def test_the_input_is_not_changed():
    batch = images(3)
    augment(batch, ORIGINAL)
    assert torch.equal(batch, images(3))
    floats = images(3).float()
    augment(floats, ORIGINAL)
    assert torch.equal(floats, images(3).float())


@pytest.mark.parametrize("level", [0, 255])
def test_values_stay_in_range(level):
    out = augment(torch.full((32, 1, 128, 256), level, dtype=torch.uint8), ORIGINAL)
    assert out.min() >= 0
    assert out.max() <= 255


@settings(max_examples=10)
@given(st.integers(0, 2**31))
def test_each_example_depends_on_its_draws_alone(seed):
    """An example gives the same result in a batch, and alone with the same draws."""
    batch, draws = images(5, seed=1), seeded_draws(5, seed=seed)
    out = apply(batch, draws, 0.0)
    for i in range(5):
        alone = Draws(*(getattr(draws, field.name)[i : i + 1] for field in dataclasses.fields(Draws)))
        torch.testing.assert_close(apply(batch[i : i + 1], alone, 0.0), out[i : i + 1], rtol=0, atol=1e-4)


def test_equal_images_of_a_batch_come_out_different():
    torch.manual_seed(0)
    out = augment(images(1).expand(16, -1, -1, -1), ORIGINAL)
    for i in range(16):
        for j in range(i):
            assert (out[i] - out[j]).abs().max() > 1


def test_the_same_seed_gives_the_same_images():
    out = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        out.append(augment(images(4), ORIGINAL))
    assert torch.equal(out[0], out[1])
    assert not torch.equal(out[0], out[2])


def test_none_does_not_change_the_images():
    batch = images(8, channels=3)
    out = augment(batch, NONE)
    torch.testing.assert_close(out, batch.float(), rtol=0, atol=1e-3)
    assert torch.equal(out.round().to(torch.uint8), batch)


# --- What is drawn ----------------------------------------------------------------------------------------------------

EXAMPLES = 4_000


@pytest.fixture(scope="module")
def many() -> Draws:
    return seeded_draws(EXAMPLES)


def lengths(mask: torch.Tensor) -> torch.Tensor:
    return mask.flatten(1).sum(1)


def starts(mask: torch.Tensor) -> torch.Tensor:
    return mask.flatten(1).int().argmax(1)[lengths(mask) > 0]


@pytest.mark.parametrize(("name", "low", "high"), [("brightness", -0.15, 0.15), ("contrast", 0.85, 1.15)])
def test_shifts_and_factors_fill_their_range_evenly(many, name, low, high):
    values = getattr(many, name).flatten().double()
    assert values.shape == (EXAMPLES,)
    assert low <= values.min() < low + 0.001
    assert high - 0.001 < values.max() <= high
    counts = torch.histc(values, 10, low, high)
    assert (counts - EXAMPLES / 10).abs().max() < 5 * sqrt(EXAMPLES * 0.1 * 0.9)


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("time_mask", (EXAMPLES, 1, 1, 256), range(5, 21)),  # 5.12 to 20.48
        ("frequency_mask", (EXAMPLES, 1, 128, 1), range(3, 11)),  # 2.56 to 10.24
    ],
)
def test_masks_are_one_piece_of_2_to_8_percent_anywhere(many, name, shape, expected):
    mask = getattr(many, name)
    assert mask.shape == shape
    there = lengths(mask) > 0
    assert set(lengths(mask)[there].tolist()) == set(expected)
    edges = mask.flatten(1).int().diff(dim=1, prepend=torch.zeros(EXAMPLES, 1, dtype=torch.int32))
    assert ((edges == 1).sum(1) == there).all()
    ends = starts(mask) + lengths(mask)[there]
    size = max(shape[2:])
    assert (starts(mask).min(), ends.max()) == (0, size)
    # By symmetry, the mean place of a mask is the middle.
    assert ((starts(mask) + ends) / 2).mean() == pytest.approx(size / 2, abs=5 * size / sqrt(12 * EXAMPLES / 2))


def test_flips_and_masks_have_their_probability_and_are_independent(many):
    events = torch.stack([many.flip.flatten(), lengths(many.time_mask) > 0, lengths(many.frequency_mask) > 0])
    bound = 5 * sqrt(0.25 / EXAMPLES)
    assert (events.double().mean(1) - 0.5).abs().max() < bound
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert (events[i] == events[j]).double().mean() == pytest.approx(0.5, abs=bound)
    low_half = many.brightness.flatten() < 0
    assert (low_half == (many.contrast.flatten() < 1)).double().mean() == pytest.approx(0.5, abs=bound)


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_probabilities_of_0_and_1_are_never_and_always(probability):
    keys = ("flip_probability", "time_mask_probability", "frequency_mask_probability")
    draws = seeded_draws(500, dataclasses.replace(ORIGINAL, **dict.fromkeys(keys, probability)))
    flip = torch.zeros(500, dtype=torch.bool) if draws.flip is None else draws.flip.flatten()
    for happened in (flip, lengths(draws.time_mask) > 0, lengths(draws.frequency_mask) > 0):
        assert (happened == bool(probability)).all()


def test_masks_may_cover_everything():
    always = dataclasses.replace(ORIGINAL, time_mask_probability=1.0, mask_share=(1.0, 1.0))
    assert not augment(images(2), always).any()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("brightness", -0.1),
        ("contrast", 1.5),
        ("flip_probability", 1.01),
        ("time_mask_probability", -1.0),
        ("frequency_mask_probability", float("nan")),
        ("mask_share", (0.02,)),
        ("mask_share", (0.08, 0.02)),
        ("mask_share", (0.0, 1.5)),
    ],
)
def test_numbers_out_of_range_are_refused(key, value):
    with pytest.raises(GenreclfError, match=rf"^augment\.{key}="):
        dataclasses.replace(ORIGINAL, **{key: value})


# --- Changes that keep the genre --------------------------------------------------------------------------------------


def test_bands_move_both_ways_and_the_original_moves_none():
    shifts = seeded_draws(2_000, MUSIC).band_shift
    assert set(shifts.flatten().tolist()) == set(range(-4, 5))
    assert not seeded_draws(50, ORIGINAL).band_shift.any() and not seeded_draws(50, ORIGINAL).equaliser.any()


def test_a_shift_moves_a_tone_and_repeats_the_edge():
    batch = torch.zeros(3, 1, 128, 256)
    batch[:, :, 60] = 100
    batch[:, :, 0] = 30
    draws = dataclasses.replace(seeded_draws(3, NONE), band_shift=torch.tensor([-2, 0, 3]).view(3, 1, 1, 1))
    out = apply(batch, draws, 0.0)
    assert [out[i, 0, :, 0].argmax().item() for i in range(3)] == [58, 60, 63]
    assert out[2, 0, :4, 0].tolist() == pytest.approx([30] * 4) and out[0, 0, :2, 0].tolist() == [0, 0]


def test_the_equaliser_is_smooth_and_has_its_deviation():
    curves = seeded_draws(3_000, dataclasses.replace(MUSIC, equaliser=0.2)).equaliser[:, 0, :, 0]  # (B, 128)
    assert curves[:, 0].std().item() == pytest.approx(0.2, rel=0.06) and abs(curves.mean().item()) < 0.01
    assert (
        curves.diff(dim=1).abs().max() < 0.2 * 6 * 2 * 7 / 127
    )  # neighbouring knots differ by less than 12 deviations
    assert (curves[0] - curves[1]).abs().max() > 0.01


def test_the_low_pass_fades_the_bands_above_a_random_one_by_20_db_each():
    taken = seeded_draws(4_000, dataclasses.replace(MUSIC, low_pass=0.25)).low_pass[:, 0, :, 0]  # (B, 128)
    muffled = taken[taken.amax(1) > 0]
    # A cutoff in the last band, one of 48, removes nothing.
    assert len(muffled) / len(taken) == pytest.approx(0.25 * 47 / 48, abs=0.025)
    assert (taken[:, :81] == 0).all()
    steps = muffled.diff(dim=1)
    assert steps.min() >= 0 and steps.max() == pytest.approx(0.25)  # of 80 dB
    first = (muffled > 0).float().argmax(1)
    assert first.min() == 81 and first.max() == 127
    assert first.float().mean().item() == pytest.approx(104, abs=1.5)  # anywhere


def test_a_noise_floor_silences_quiet_levels_and_keeps_the_loudest():
    config = dataclasses.replace(NONE, noise_floor=0.4)
    ramp = torch.arange(256, dtype=torch.uint8).expand(500, 1, 128, 256)
    torch.manual_seed(0)
    out = augment(ramp, config)[:, 0, 0]  # (B, 256), of levels 0 to 255
    silent = (out == 0).sum(1)
    # Up to level 102, by the square of a uniform draw: the mean is a third of it, and the median a quarter.
    assert silent.min() < 5 and 95 < silent.max() <= 103 and silent.float().mean().item() == pytest.approx(35, abs=4)
    assert silent.float().median().item() == pytest.approx(102 / 4, abs=5)
    assert torch.allclose(out[:, -1], torch.tensor(255.0))
    assert (out.diff(dim=1) >= 0).all()


def test_a_raised_floor_lifts_quiet_levels_and_keeps_the_others():
    config = dataclasses.replace(NONE, raised_floor=0.6)
    ramp = torch.arange(256, dtype=torch.uint8).expand(1000, 1, 8, 256)
    torch.manual_seed(0)
    out = augment(ramp, config)[:, 0, 0]  # (B, 256), of levels 0 to 255
    floor = out[:, :1]
    assert torch.allclose(out, torch.maximum(ramp[:, 0, 0].float(), floor))
    raised = floor[floor > 0]
    # Half of the examples are raised, by the square root of a uniform draw: to at most 0.6 * 255 = 153, on average 2/3
    assert len(raised) == pytest.approx(500, abs=60)
    assert 140 < raised.max() < 153 and raised.mean().item() == pytest.approx(153 * 2 / 3, abs=5)


def test_two_views_are_a_segment_with_and_without_the_changes_of_its_channel():
    config = dataclasses.replace(NONE, low_pass=1.0, noise_floor=0.4, raised_floor=0.6, consistency=1.0)
    batch = images(50)
    torch.manual_seed(0)
    with_channel, without = augment(batch, config).split(50)
    torch.testing.assert_close(without, batch.float(), rtol=0, atol=1e-3)
    assert ((with_channel - batch).abs().amax((1, 2, 3)) > 1).all()


def test_each_view_of_a_segment_is_drawn_separately():
    torch.manual_seed(0)
    both = augment(images(8), dataclasses.replace(CHANNELS, low_pass=0.0, noise_floor=0.0))
    assert both.shape == (16, 1, 128, 256)
    assert ((both[:8] - both[8:]).abs().amax((1, 2, 3)) > 1).all()


def test_without_consistency_there_is_one_view():
    assert (MUSIC.consistency, MUSIC.views, CHANNELS.views) == (0, 1, 2) and augment(images(3), MUSIC).shape[0] == 3


def test_mixing_blends_each_example_with_another_of_the_batch():
    torch.manual_seed(0)
    batch = torch.stack([images(64), images(64, seed=1)]).float()  # two views
    out, other, lam = mix(batch, 0.3)
    assert sorted(other.tolist()) == list(range(64)) and lam.min() >= 0.5 and lam.max() <= 1
    for view in range(2):
        for i in range(64):
            expected = lam[i] * batch[view, i] + (1 - lam[i]) * batch[view, other[i]]
            torch.testing.assert_close(out[view, i], expected)
    assert (lam < 0.9).float().mean() > 0.15  # some are well mixed, most are not: Beta(0.3, 0.3)
    assert torch.equal(batch[0], images(64).float())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("band_shift", -1),
        ("band_shift", 65),
        ("stretch", 1.5),
        ("mixup", -0.1),
        ("noise_floor", 1.0),
        ("consistency", -0.1),
        ("consistency", float("nan")),
        ("consistency", float("inf")),
    ],
)
def test_a_number_out_of_its_range_is_refused(key, value):
    with pytest.raises(GenreclfError, match=rf"^augment\.{key}={value}: .*give "):
        dataclasses.replace(MUSIC, **{key: value})


def test_the_weight_of_the_consistency_loss_may_be_above_1():
    assert dataclasses.replace(MUSIC, consistency=12.0).views == 2


# --- The random place of a segment ------------------------------------------------------------------------------------

CROP, WHOLE = ViewConfig("crop", 256, 128, 0.0), ViewConfig("whole", 1_292, 646, 0.1)


def drawn(frames: int | list[int], view: ViewConfig, stretch: float, seed: int = 0) -> list[tuple[int, int]]:
    return [tuple(span) for span in random_spans(np.atleast_1d(frames), view, stretch, np.random.default_rng(seed))]


@given(st.lists(st.integers(1, 5_000), min_size=1, max_size=5), st.sampled_from([CROP, WHOLE]), st.integers(0, 99))
def test_random_spans_lie_inside_the_clip(frames, view, seed):
    for each, (start, length) in zip(frames, drawn(frames, view, 0.0, seed), strict=True):
        assert length == spans(each, view)[0][1]
        assert 0 <= start <= max(0, each - length)


@given(st.integers(1, 2_000), st.floats(0.01, 1.0), st.integers(0, 99))
def test_a_stretched_span_lies_inside_the_clip_within_its_range(frames, stretch, seed):
    for start, length in drawn([frames] * 5, CROP, stretch, seed):
        if frames <= 256:
            assert (start, length) == (0, 256)
        else:
            assert 0 <= start <= frames - length
            assert min(frames, 256 / (1 + stretch)) - 1 <= length <= 256 * (1 + stretch) + 1


def test_stretches_are_as_often_faster_as_slower():
    lengths = [length for _, length in drawn([1_293] * 1_000, CROP, 0.25)]
    assert min(lengths) < 210 and max(lengths) > 312
    assert sum(length > 256 for length in lengths) == pytest.approx(500, abs=80)


def test_random_spans_reach_every_place_and_follow_the_seed():
    found = drawn([259] * 100, CROP, 0.0)
    assert set(found) == {(0, 256), (1, 256), (2, 256), (3, 256)}
    assert found == drawn([259] * 100, CROP, 0.0) != drawn([259] * 100, CROP, 0.0, seed=1)
