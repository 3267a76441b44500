"""Measures how often the prediction changes if a clip is encoded, resampled or disturbed but sounds nearly the same.

python scripts/robustness.py AUDIO_FOLDER MODEL [MODEL...]

A MODEL is a run folder, a bundle folder, or a pretrained name. An evaluated run predicts its test clips, and its
predictions are compared with those of the evaluation, which may have used pictures. Any other model predicts all clips.
A clip's folder is its genre.
"""

import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import soxr
from rich.console import Console
from rich.table import Table

from genreclf import Classifier
from genreclf.evaluation.predictions import read_predictions
from genreclf.frontend.audio import AUDIO_SUFFIXES, SAMPLE_RATE_HZ, read_audio
from genreclf.inference.run_folder import EVALUATION, PREDICTIONS
from genreclf.progress import progress_bar

Sound = tuple[np.ndarray, int]  # (samples,) or (samples, channels), and their rate in Hz


def at_rate(rate_hz: int) -> Callable[[np.ndarray], Sound]:
    return lambda wave: (soxr.resample(wave, SAMPLE_RATE_HZ, rate_hz), rate_hz)


def as_mp3(kbit: int, level: float) -> Callable[[np.ndarray], Sound]:
    """Encodes with LAME at a constant bit rate; `level` is libsndfile's compression level for it."""

    def change(wave: np.ndarray) -> Sound:
        file = io.BytesIO()
        soundfile.write(file, wave, SAMPLE_RATE_HZ, format="MP3", bitrate_mode="CONSTANT", compression_level=level)
        rate = file.tell() * 8 / len(wave) * SAMPLE_RATE_HZ / 1000
        assert abs(rate - kbit) < kbit / 10, f"{rate:.0f} kbit/s, not {kbit}"
        file.seek(0)
        return soundfile.read(file, dtype="float32")

    return change


def noisy(wave: np.ndarray) -> Sound:
    noise = np.random.default_rng(0).normal(0, 1, len(wave)).astype(np.float32)
    return wave + noise * np.sqrt(np.mean(wave**2) / np.mean(noise**2)) * 10 ** (-30 / 20), SAMPLE_RATE_HZ


CHANGES: dict[str, Callable[[np.ndarray], Sound]] = {
    "resampled to 8 kHz": at_rate(8_000),
    "resampled to 16 kHz": at_rate(16_000),
    "resampled to 44.1 kHz": at_rate(44_100),
    "resampled to 48 kHz": at_rate(48_000),
    "30 dB quieter": lambda wave: (wave * 10 ** (-30 / 20), SAMPLE_RATE_HZ),
    "stereo, one side louder": lambda wave: (np.stack([wave, 0.5 * wave], 1), SAMPLE_RATE_HZ),
    "5 s of silence before": lambda wave: (np.concatenate([np.zeros(5 * SAMPLE_RATE_HZ), wave]), SAMPLE_RATE_HZ),
    "MP3 at 64 kbit/s": as_mp3(64, 0.6),
    "MP3 at 24 kbit/s": as_mp3(24, 0.9),
    "noise 30 dB below": noisy,
}


def held_out(audio: dict[str, Path], models: list[Path]) -> list[tuple[Classifier, Path, str]]:
    """Returns each model with the files that it predicts and their genres in its evaluation, or "" without one."""
    found = []
    for model in models:
        classifier, file = Classifier.from_pretrained(model, device="cpu"), model / EVALUATION / "test" / PREDICTIONS
        predictions = read_predictions(file, "none") if file.is_file() else None
        genres = dict.fromkeys(audio, "")
        if predictions:
            best = predictions.probabilities.argmax(1)
            genres = {
                Path(path).stem: predictions.classes[place] for path, place in zip(predictions.paths, best, strict=True)
            }
        found += [(classifier, audio[stem], genre) for stem, genre in genres.items() if stem in audio]
    return found


def main(folder: Path, models: list[Path]) -> None:
    """Prints, for each change, the accuracy, the share of clips whose genre changes, and the change in probability."""
    audio = {path.stem: path for path in sorted(folder.rglob("*")) if path.suffix in AUDIO_SUFFIXES}
    clips = held_out(audio, models)
    plain: list[bool] = []
    evaluated: list[tuple[bool, bool]] = []  # whether correct, and whether another genre
    correct, flips, moved = ({name: list[float]() for name in CHANGES} for _ in range(3))
    with progress_bar("predicting", "clips") as report:
        for done, (classifier, path, genre) in enumerate(clips, 1):
            wave = read_audio(path).waveform
            before = classifier.classify(wave, SAMPLE_RATE_HZ)
            plain.append(before.genre == path.parent.name)
            evaluated += [(genre == path.parent.name, genre != before.genre)] if genre else []
            for name, change in CHANGES.items():
                after = classifier.classify(*change(wave))
                correct[name].append(after.genre == path.parent.name)
                flips[name].append(after.genre != before.genre)
                moved[name].append(0.5 * np.abs(np.subtract(after.probabilities, before.probabilities)).sum())
            report(done, len(clips))
    table = Table("change", "correct", "another genre", "probability moved", title=f"{len(clips)} clips")
    table.add_row("none", f"{np.mean(plain):.1%}", "-", "-")
    if evaluated:
        table.add_row("as evaluated", *(f"{share:.1%}" for share in np.mean(evaluated, axis=0)), "-")
    for name in CHANGES:
        table.add_row(name, *(f"{np.mean(part[name]):.1%}" for part in (correct, flips)), f"{np.mean(moved[name]):.3f}")
    Console().print(table)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), [Path(word) for word in sys.argv[2:]])
