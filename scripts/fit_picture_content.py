"""Fits the detector of non-spectrogram pictures in `genreclf/frontend/picture_content.py`, and prints its numbers.

python scripts/fit_picture_content.py --music FOLDER TABLE [--music FOLDER TABLE] --other FOLDER [FOLDER ...]

Music: folders of grey mel spectrograms (128 rows, PNG), each with a table of artists or groups. Half of the artists
are fitted, the others judged. Other: folders of photos, drawings and scans; every second folder is fitted, the others
judged. Demo music, sparse notes, usual changes of all of them, and drawn pictures are added.
"""

import argparse
import io
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.linear_model import LogisticRegression

from genreclf.data.demo import STYLES, render
from genreclf.data.table import read_table
from genreclf.frontend.audio import SAMPLE_RATE_HZ
from genreclf.frontend.axis_bands import to_bands
from genreclf.frontend.band_axis import ANY_AXIS, find_axis
from genreclf.frontend.log_mel import log_mel
from genreclf.frontend.picture_content import ARRAY_SLOPE, measures, reduced, upright

SIZES = ((128, 387), (128, 128), (128, 1293), (256, 256), (480, 640))  # rows, columns
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
MIN_PIXELS = 100  # icons are smaller
MUSIC_WEIGHT = 30.0  # mistaking music for a photo is worse than the reverse
MARGIN = 2.0  # logit: above all but one in 1,000 of the music that is fitted
FARTHEST = 8.0  # standard deviations

Sample = tuple[str, bool, np.ndarray]  # name of its kind, whether it is fitted, (128, columns) levels


def main() -> None:
    """Prints the numbers, and how many pictures are detected in both halves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--music", nargs=2, action="append", required=True, metavar=("FOLDER", "TABLE"))
    parser.add_argument("--other", nargs="+", required=True, type=Path, metavar="FOLDER")
    parser.add_argument("--limit", type=int, default=70, help="pictures of a folder of photos")
    parser.add_argument("--changed-every", type=int, default=10, help="of the music, the share that is also changed")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    music = [
        one for folder, table in args.music for one in of_folder(Path(folder), Path(table), args.changed_every, rng)
    ]
    music += list(of_demo(rng))
    others = [one for number, folder in enumerate(args.other) for one in of_photos(folder, number % 2 == 0, args.limit)]
    others += list(drawn(rng))
    fit(*measured(music), *measured(others))


def fit(music_names, music_fitted, music, other_names, other_fitted, others) -> None:
    """Fits, judges and prints. The arguments are names, fitted, and (N, measures) of both kinds."""
    usual, spread = music[music_fitted].mean(axis=0), music[music_fitted].std(axis=0)
    near = [np.clip((values - usual) / spread, -FARTHEST, FARTHEST) for values in (music, others)]
    inputs = np.concatenate([near[0][music_fitted], near[1][other_fitted]])
    is_other = np.repeat([0, 1], [music_fitted.sum(), other_fitted.sum()])
    counts = np.bincount(is_other)
    weights = np.where(is_other, 1 / counts[1], MUSIC_WEIGHT / counts[0]) * len(is_other)
    model = LogisticRegression(max_iter=1000).fit(inputs, is_other, sample_weight=weights)
    bias = -(float(np.quantile(near[0][music_fitted] @ model.coef_[0], 0.999)) + MARGIN)
    for name, values in (("_USUAL", usual), ("_SPREAD", spread), ("_WEIGHTS", model.coef_[0])):
        print(f"{name} = np.array([{', '.join(f'{value:.3g}' for value in values)}])")
    print(f"_BIAS = {bias:.3g}")
    for kind, names, fitted, values in (
        ("music", music_names, music_fitted, near[0]),
        ("other", other_names, other_fitted, near[1]),
    ):
        detected = values @ model.coef_[0] + bias > 0
        for part, chosen in (("fitted", fitted), ("judged", ~fitted)):
            print(f"{kind}, {part}: {detected[chosen].sum()} of {chosen.sum()} detected")
            for name in sorted(set(names[chosen])):
                those = chosen & (names == name)
                if kind == "other" or detected[those].any():
                    print(f"    {name}: {detected[those].sum()} of {those.sum()}")


def measured(samples: list[Sample]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns names, fitted, and (N, measures), without samples that are too narrow to judge."""
    seen = [(name, fitted, reduced(levels)) for name, fitted, levels in samples]
    kept = [(name, fitted, measures(one)) for name, fitted, one in seen if one is not None and np.ptp(one)]
    return np.array([one[0] for one in kept]), np.array([one[1] for one in kept]), np.array([one[2] for one in kept])


def of_folder(folder: Path, table: Path, changed_every: int, rng: np.random.Generator) -> Iterator[Sample]:
    """Yields the spectrograms of a folder, and changed copies of some; half of the artists are fitted."""
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    for number, (path, row) in enumerate(zip(paths, read_table(table, paths), strict=True)):
        levels = np.asarray(Image.open(folder / path).convert("L"))[::-1]
        fitted = zlib.crc32((row.group or row.artist or path).encode()) % 2 == 0
        yield "plain", fitted, levels
        if number % changed_every == 0:
            yield from ((name, fitted, changed) for name, changed in changes(levels, rng))


def of_demo(rng: np.random.Generator) -> Iterator[Sample]:
    """Yields demo music and sparse notes."""
    for number in range(30):
        sounds = {
            "demo": render(STYLES[number % 10], number, 0, 12.0),
            "notes": notes(rng),
        }
        for name, sound in sounds.items():
            levels = log_mel(sound.astype(np.float32))[:, :: int(rng.choice([1, 3]))]
            yield name, number % 2 == 0, levels
            if number < 12:
                yield from ((f"{name}, {what}", number % 2 == 0, changed) for what, changed in changes(levels, rng))


def notes(rng: np.random.Generator) -> np.ndarray:
    """Returns (samples,): struck strings, few at a time."""
    time, sound, start = np.arange(12 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ, 0.0, 0.0
    pause, hiss = rng.choice([0.3, 1.0, 2.0]), 10 ** rng.uniform(-6, -2.5)
    while start < 12:
        hertz, decay = 27.5 * 2 ** (rng.integers(12, 76) / 12), rng.uniform(0.1, 1.5)
        since = np.maximum(time - start, 0)
        for harmonic in range(1, 9):
            tone = np.sin(2 * np.pi * hertz * harmonic * since) * np.exp(-since * (1 + 0.3 * harmonic) / decay)
            sound = sound + tone / harmonic**1.5 * (hertz * harmonic < 10_000)
        start += rng.exponential(pause)
    return sound + hiss * rng.normal(size=len(time))


def changes(levels: np.ndarray, rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    """Yields a spectrogram after common kinds of processing: a name and (128, columns) levels."""
    first = int(rng.integers(0, max(1, levels.shape[1] - 100)))
    yield "3 s", levels[:, first : first + 39]
    yield "8 s", levels[:, first : first + 100]
    yield "raised floor", stretched(np.maximum(levels, np.percentile(levels, rng.uniform(20, 60))))
    yield "high floor", stretched(np.maximum(levels, np.percentile(levels, rng.uniform(60, 90))))
    low_passed = levels.astype(np.float32)
    cut = int(rng.integers(60, 90))  # 2.5 to 5.5 kHz
    low_passed[cut:] -= 15 * np.arange(128 - cut)[:, None]
    yield "low pass", stretched(np.maximum(low_passed, levels.min()))
    power = 10 ** (levels / 255 * 8) + 10 ** rng.uniform(1.5, 4.5) * rng.gamma(3, 1 / 3, levels.shape)
    yield "noise", stretched(np.log(power))
    holes = (rng.random((32, levels.shape[1])) < 0.35).repeat(4, axis=0) & (levels < np.percentile(levels, 60))
    holes[:60] = False
    yield "holes", np.where(holes, levels.min(), levels)
    silent = levels.copy()
    silent[:, : int(levels.shape[1] * rng.uniform(0.2, 0.6))] = 0
    yield "silence", silent
    yield "upper 40 dB", (np.maximum(levels, 128) - np.uint8(128)) * np.uint8(2)
    picture = Image.fromarray(np.ascontiguousarray(levels[::-1]))
    jpeg = io.BytesIO()
    picture.save(jpeg, "JPEG", quality=int(rng.choice([50, 75, 90])))
    yield "JPEG", np.asarray(Image.open(jpeg))[::-1]
    yield "wide", np.asarray(picture.resize((2 * levels.shape[1], 128), Image.Resampling.BILINEAR))[::-1]
    small = picture.resize((max(40, levels.shape[1] // 3), 64), Image.Resampling.BOX)
    yield "enlarged", np.asarray(small.resize(picture.size, Image.Resampling.BILINEAR))[::-1]


def of_photos(folder: Path, fitted: bool, limit: int) -> Iterator[Sample]:
    """Yields the pictures of a folder in grey, at most `limit` different ones, in two or three sizes."""
    known: set[bytes] = set()
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()):
        grey = grey_of(path)
        if grey is None or len(known) >= limit:
            continue
        thumbnail = (np.asarray(grey.resize((8, 8), Image.Resampling.BOX)) // 32).tobytes()
        if thumbnail in known:
            continue
        number = len(known)
        known.add(thumbnail)
        for size in {SIZES[0], SIZES[1 + number % 2], SIZES[3 + number // 4 % 2] if number % 4 == 0 else SIZES[0]}:
            yield folder.name, fitted, as_read(np.asarray(grey.resize(size[::-1], Image.Resampling.BICUBIC)))


def grey_of(path: Path) -> Image.Image | None:
    """Returns a picture in grey on white, or None if it is small, narrow, or cannot be read."""
    try:
        image = Image.open(path)
        if min(image.size) < MIN_PIXELS or max(image.size) > 4 * min(image.size):
            return None
        image.draft("L", (500, 500))
        image.thumbnail((1000, 1000), Image.Resampling.BOX)
        ground = Image.new("RGBA", image.size, "white")
        ground.alpha_composite(image.convert("RGBA"))
        return ground.convert("L")
    except OSError:
        return None


def drawn(rng: np.random.Generator) -> Iterator[Sample]:
    """Yields fields of 1/f noise, white and blurred noise, gradients, waves and checks."""
    for number in range(60):
        height, width = SIZES[number % 3]
        y, x = np.mgrid[0:height, 0:width]
        frequency = np.hypot(np.fft.fftfreq(height)[:, None] * rng.choice([0.3, 1, 1, 3]), np.fft.rfftfreq(width))
        frequency[0, 0] = np.inf
        spectrum = np.fft.rfft2(rng.normal(size=(height, width))) / frequency ** rng.uniform(0.5, 1.75)
        angle, wave = rng.uniform(0, 2 * np.pi), rng.uniform(2, 20)
        pictures = {
            "1/f noise": np.fft.irfft2(spectrum, (height, width)),
            "noise": rng.normal(size=(height, width)),
            "gradient": np.cos(angle) * x / width
            + np.sin(angle) * y / height
            + rng.choice([0, 0.01]) * rng.random(x.shape),
            "waves": np.sin(x / wave + y / 9) + np.sin(y / wave) + 0.3 * rng.normal(size=x.shape),
            "checks": (x // int(2 + wave) + y // int(2 + wave)) % 2 + 0.2 * rng.normal(size=x.shape),
        }
        for name, picture in pictures.items():
            yield name, number % 2 == 0, as_read(stretched(picture))


def as_read(picture: np.ndarray) -> np.ndarray:
    """Converts a drawn picture, (rows, columns) uint8, to (128, columns) levels as `read_picture` does."""
    if len(picture) == 128:
        return upright(picture[::-1], ARRAY_SLOPE)
    levels = upright(picture[::-1])
    return to_bands(levels, find_axis(levels, ANY_AXIS))


def stretched(values: np.ndarray) -> np.ndarray:
    """Scales any values to uint8 from 0 to 255."""
    values = values - values.min().astype(np.float32)
    return np.rint(255 * values / max(float(values.max()), 1e-6)).astype(np.uint8)


if __name__ == "__main__":
    main()
