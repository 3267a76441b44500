"""Grey pictures that are not spectrograms are detected, and spectrograms of music never are, however processed."""

import io
from collections.abc import Callable
from itertools import product
from pathlib import Path

import librosa
import matplotlib
import numpy as np
import pytest
import sklearn.datasets
import soundfile
from PIL import Image, ImageDraw, ImageFont

from genreclf.data.demo import STYLES, render
from genreclf.frontend.log_mel import log_mel
from genreclf.frontend.picture import read_picture, write_picture
from genreclf.frontend.picture_content import fault_of_array, measures, reduced

SIZES = ((128, 387), (256, 256))  # rows, columns


def stretched(values: np.ndarray) -> np.ndarray:
    values = values - values.min()
    return np.rint(255 * values / values.max()).astype(np.uint8)


def field(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A texture like clouds, coasts or bark: power falls with the square of the frequency (Field 1987)."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.normal(size=(height, width))) / frequency ** rng.uniform(0.8, 1.4)
    return stretched(np.fft.irfft2(spectrum, (height, width)))


def shaded_shapes(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    image = Image.new("L", (width, height), int(rng.integers(60, 200)))
    draw = ImageDraw.Draw(image)
    for _ in range(25):
        x, y, size = rng.integers(0, width), rng.integers(0, height), rng.integers(10, height // 2)
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape((int(x - size), int(y - size), int(x + size), int(y + size)), fill=int(rng.integers(0, 256)))
    light = np.linspace(-40, 40, width) + np.linspace(-20, 20, height)[:, None]
    return np.clip(np.asarray(image) + light + rng.normal(0, 3, (height, width)), 0, 255).astype(np.uint8)


def gradient(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    slope = np.cos(angle) * np.linspace(0, 1, width) + np.sin(angle) * np.linspace(0, 1, height)[:, None]
    return stretched(slope + 0.004 * rng.random((height, width)))


def text(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    image, size = Image.new("L", (width, height), 245), int(rng.integers(10, 24))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    words = ["the", "of", "music", "genre", "classification", "spectrogram", "and", "table", "we", "show"]
    for top in range(2, height, size * 5 // 4):
        draw.text((3, top), " ".join(rng.choice(words, 30)), fill=20, font=font)
    return np.clip(np.asarray(image) + rng.normal(0, 4, (height, width)), 0, 255).astype(np.uint8)  # scanned


def noise(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    return rng.integers(0, 256, (height, width), dtype=np.uint8)


NO_MUSIC: dict[str, Callable[[np.random.Generator, int, int], np.ndarray]] = {
    "field": field,
    "shaded shapes": shaded_shapes,
    "gradient": gradient,
    "text": text,
    "noise": noise,
}


@pytest.mark.parametrize(("name", "size"), [*product(NO_MUSIC, SIZES), ("noise", (128, 30))])
def test_what_is_no_spectrogram_is_told(tmp_path, name, size):
    for seed in range(2):
        Image.fromarray(NO_MUSIC[name](np.random.default_rng(seed), *size)).save(tmp_path / "x.png")
        assert read_picture(tmp_path / "x.png").unsuitable.startswith("no mel spectrogram: "), seed


PHOTOS = {
    **dict(zip(("china", "flower"), sklearn.datasets.load_sample_images().images, strict=True)),
    "portrait": np.asarray(Image.open(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg")),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", PHOTOS)
def test_grey_photos_are_told(tmp_path, name, size):
    grey = Image.fromarray(PHOTOS[name]).convert("L").resize(size[::-1])
    grey.save(tmp_path / "x.png")
    assert read_picture(tmp_path / "x.png").unsuitable.startswith("no mel spectrogram: ")


def low_passed(levels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    kept = levels.copy()
    kept[78:] = 0  # 4 kHz
    return kept


def with_noise(levels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    power = 10 ** (levels / 255 * 8) + 10**4 * rng.gamma(3, 1 / 3, levels.shape)  # 40 dB below the loudest
    return stretched(np.log(power))


def as_jpeg(levels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(levels[::-1])).save(file, "JPEG", quality=60)
    return np.asarray(Image.open(file))[::-1]


CHANGES: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "none": lambda levels, rng: levels,
    "a third of the frames": lambda levels, rng: levels[:, ::3],
    "2 s": lambda levels, rng: levels[:, 100:187],
    "low pass": low_passed,
    "raised floor": lambda levels, rng: stretched(np.maximum(levels, np.quantile(levels, 0.6))),
    "half silent": lambda levels, rng: levels * (np.arange(levels.shape[1]) < levels.shape[1] // 2),
    "noise": with_noise,
    "JPEG": as_jpeg,
}


@pytest.fixture(scope="module")
def sounds() -> dict[str, np.ndarray]:
    return {style: render(style, 1, 0, 6.0) for style in STYLES}


@pytest.fixture(scope="module")
def demo(sounds) -> dict[str, np.ndarray]:
    return {style: log_mel(samples) for style, samples in sounds.items()}


@pytest.mark.parametrize("compression", [0.5, 0.99])  # about 50 and 25 kbit/s
def test_music_is_never_told_as_mp3(sounds, compression):
    for style, samples in sounds.items():
        file = io.BytesIO()
        soundfile.write(file, samples, 22_050, format="MP3", compression_level=compression)
        file.seek(0)
        assert fault_of_array(log_mel(soundfile.read(file, dtype="float32")[0])) == "", style


@pytest.mark.parametrize("change", CHANGES)
def test_music_is_never_told_however_it_was_processed(demo, change):
    for style, levels in demo.items():
        assert fault_of_array(CHANGES[change](levels, np.random.default_rng(0))) == "", style


def test_a_few_notes_in_silence_are_music():
    rng, time = np.random.default_rng(0), np.arange(10 * 22_050) / 22_050
    sound = 1e-4 * rng.normal(size=len(time))
    for start, hertz in zip(np.arange(0.5, 9, 0.8), rng.choice([131, 196, 262, 330, 392, 523], 11), strict=True):
        since = np.maximum(time - start, 0)
        sound += sum(np.sin(2 * np.pi * hertz * k * since) * np.exp(-(2 + k) * since) / k for k in range(1, 7))
    assert fault_of_array(log_mel(sound.astype(np.float32))) == ""


def test_contrast_and_brightness_do_not_matter(demo):
    for levels in (*demo.values(), field(np.random.default_rng(0), 128, 387)):
        seen = reduced(levels)
        np.testing.assert_allclose(measures(0.5 * seen + 60), measures(seen), atol=0.15)


def test_real_pictures_of_music_are_never_told(gtzan, tmp_path):
    for path in sorted((gtzan / "pictures").rglob("*.png"))[::50]:
        picture = read_picture(path)
        assert picture.unsuitable == "" and picture.note.endswith("assumed: Slaney's 128 bands to 11,025 Hz, 80 dB"), (
            path
        )
        levels = np.asarray(Image.open(path))[::-1]
        write_picture(tmp_path / "x.png", CHANGES["raised floor"](levels, np.random.default_rng(0)))
        picture = read_picture(tmp_path / "x.png")
        assert picture.unsuitable == picture.note == "", path  # a picture by `write_picture` needs no assumptions


REVERSED = "reversed (gray_r, not Greys)"


@pytest.mark.parametrize("way_up", [REVERSED, "upside down", f"{REVERSED}, upside down"])
def test_grey_arrays_that_were_turned_are_turned_back_and_the_note_says_so(demo, tmp_path, way_up):
    levels = np.maximum(demo["shuffle"], 60)  # silence is cut
    as_drawn = levels if way_up == "upside down" else 255 - levels
    Image.fromarray(as_drawn[::-1] if way_up == REVERSED else as_drawn).save(tmp_path / "x.png")
    picture = read_picture(tmp_path / "x.png")
    np.testing.assert_array_equal(picture.levels, levels)
    assert picture.note == f"read as grey {way_up}, assumed: Slaney's 128 bands to 11,025 Hz, 80 dB"


SCALES = {
    "power": lambda power: power,
    "amplitude": np.sqrt,
    "PCEN": lambda power: librosa.pcen(power * 2**31, sr=22_050),
    "log1p": np.log1p,
}


@pytest.mark.parametrize("scale", SCALES)
def test_levels_that_are_no_decibels_are_told(sounds, tmp_path, scale):
    for style in ("arpeggio", "shuffle"):
        power = librosa.feature.melspectrogram(y=sounds[style].astype(np.float32), sr=22_050)
        Image.fromarray(stretched(SCALES[scale](power))[::-1]).save(tmp_path / "x.png")
        assert "not decibels" in read_picture(tmp_path / "x.png").unsuitable, style
