"""Measures how well duplicate recordings are found: changed copies of each clip, among all clips and copies.

python scripts/recordings.py       500 clips of demo music
python scripts/recordings.py DIR   the audio below a folder
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from rich.console import Console
from rich.table import Table
from scipy.signal import butter, sosfilt

from genreclf.data.demo import write_demo
from genreclf.data.fingerprint import Fingerprint, Fingerprints, Match, find_matches, fingerprint
from genreclf.frontend.audio import AUDIO_SUFFIXES, SAMPLE_RATE_HZ, read_audio
from genreclf.frontend.log_mel import log_mel
from genreclf.progress import progress_bar

PICTURE_FRAMES_PER_COLUMN = 3.34  # GTZAN's usual pictures: 387 columns over 30 s

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def shifted(seconds: float) -> Change:
    return lambda samples, rng: samples[round((seconds + rng.uniform(0, 0.02)) * SAMPLE_RATE_HZ) :]


def cut(seconds: float) -> Change:
    def change(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        length = min(round(seconds * SAMPLE_RATE_HZ), len(samples))
        start = rng.integers(len(samples) - length + 1)
        return samples[start : start + length]

    return change


def encoded(kbit: int, level: float) -> Change:
    def change(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        with tempfile.NamedTemporaryFile(suffix=".mp3") as file:
            soundfile.write(file.name, samples, SAMPLE_RATE_HZ, bitrate_mode="CONSTANT", compression_level=level)
            rate = Path(file.name).stat().st_size * 8 / len(samples) * SAMPLE_RATE_HZ / 1000
            assert abs(rate - kbit) < kbit / 5, f"{rate:.0f} kbit/s, not {kbit}"
            return read_audio(Path(file.name)).waveform

    return change


def louder(decibels: float) -> Change:
    return lambda samples, rng: np.clip(samples * 10 ** (decibels / 20), -1, 1)


def noisy(decibels: float) -> Change:
    def change(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return samples + rng.normal(size=len(samples)) * np.sqrt(np.mean(samples**2)) * 10 ** (-decibels / 20)

    return change


def passed(kind: str, *hertz: float) -> Change:
    sections = butter(4, hertz if len(hertz) > 1 else hertz[0], kind, fs=SAMPLE_RATE_HZ, output="sos")
    return lambda samples, rng: sosfilt(sections, samples)


def faster(share: float) -> Change:
    def change(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.interp(np.arange(0, len(samples) - 1, 1 + share), np.arange(len(samples)), samples)

    return change


def both(*changes: Change) -> Change:
    def change(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        for one in changes:
            samples = one(samples, rng).astype(np.float32)
        return samples

    return change


# Changes by (name, amount). Changes with a star must be found; the others show the limits.
CHANGES: dict[tuple[str, str], Change] = {
    ("* shifted", "0.3 s"): shifted(0.3),
    ("* shifted", "2 s"): shifted(2),
    ("* cut to", "8 s"): cut(8),
    ("* cut to", "6 s"): cut(6),
    ("cut to", "5 s"): cut(5),
    ("cut to", "4 s"): cut(4),
    ("* MP3", "128 kbit/s"): encoded(128, 0.25),
    ("* MP3", "64 kbit/s"): encoded(64, 0.6),
    ("MP3", "32 kbit/s"): encoded(32, 0.85),
    ("* quieter", "-30 dB"): louder(-30),
    ("* louder, clipped", "+6 dB"): louder(6),
    ("louder, clipped", "+20 dB"): louder(20),
    ("* noise", "30 dB below"): noisy(30),
    ("noise", "20 dB below"): noisy(20),
    ("noise", "10 dB below"): noisy(10),
    ("noise", "0 dB below"): noisy(0),
    ("* low-pass", "4 kHz"): passed("low", 4_000),
    ("low-pass", "1 kHz"): passed("low", 1_000),
    ("* high-pass", "300 Hz"): passed("high", 300),
    ("high-pass", "2 kHz"): passed("high", 2_000),
    ("* telephone", "0.3-3.4 kHz"): passed("band", 300, 3_400),
    ("shifted, telephone, noise, MP3", "1 s, 20 dB, 64"): both(
        shifted(1), passed("band", 300, 3_400), noisy(20), encoded(64, 0.6)
    ),
    ("faster", "1 %"): faster(0.01),
    ("faster", "3 %"): faster(0.03),
}


def main(folder: Path) -> None:
    tracks = [read_audio(path).waveform for path in sorted(folder.rglob("*")) if path.suffix.lower() in AUDIO_SUFFIXES]
    if not tracks:
        sys.exit(f"{folder}: holds no audio")
    originals = [prints_of(samples) for samples in tracks]
    table = Table("change", "how much", "found", "as pictures", "false pairs", "least confidence")
    table.title = f"{len(tracks)} clips and a changed copy of each"
    missed = False
    with progress_bar("changing and searching", "changes") as report:
        for done, ((what, amount), change) in enumerate(CHANGES.items(), 1):
            rng = np.random.default_rng(done)
            copies = [prints_of(change(samples, rng)) for samples in tracks]
            (as_audio, false), (as_picture, false_pictures) = (
                search([*first], [*second])
                for first, second in zip(zip(*originals, strict=True), zip(*copies, strict=True), strict=True)
            )
            shares = [f"{len(found) / len(tracks):.1%}" for found in (as_audio, as_picture)]
            least = min((match.confidence for match in as_audio), default=float("nan"))
            table.add_row(what, amount, *shares, f"{false} + {false_pictures}", f"{least:.2f}")
            missed |= what.startswith("*") and (len(as_audio) < 0.99 * len(tracks) or false > 0)
            report(done, len(CHANGES))
    console = Console()
    console.print(table)
    console.print("A star: at least 99 % must be found, without a false pair." + (" Missed." if missed else ""))


def search(originals: list[Fingerprint], copies: list[Fingerprint]) -> tuple[list[Match], int]:
    """Returns the matches of copies with their originals, and the number of matches of different clips."""
    clips, matches = len(originals), find_matches(Fingerprints.of([*originals, *copies]))
    correct = [match for match in matches if match.second == match.first + clips]
    return correct, sum(match.second % clips != match.first % clips for match in matches)


def prints_of(samples: np.ndarray) -> tuple[Fingerprint, Fingerprint]:
    """Returns the fingerprints of the clip as audio, and as a downsampled spectrogram."""
    levels = log_mel(np.ascontiguousarray(samples, dtype=np.float32))
    frames = levels.shape[1]
    columns = ((np.arange(frames // PICTURE_FRAMES_PER_COLUMN) + 0.5) * PICTURE_FRAMES_PER_COLUMN).astype(int)
    return fingerprint(levels, frames), fingerprint(levels[:, columns], frames)


if __name__ == "__main__":
    if sys.argv[1:]:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as demo:
            write_demo(Path(demo), 50, 10.0, 0, None)
            main(Path(demo))
