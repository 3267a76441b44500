"""Renders demo music: ten procedural styles, made on the user's machine without a network or a data set.

The styles are patterns of rhythm and harmony, not imitations of GTZAN's genres. Instruments, drums, keys and mixing are
drawn from ranges that all styles share, so the mean spectrum identifies a style only in part.

Rendering is deterministic: each clip has a PCG64 generator seeded with the SHA-256 of seed, style and index. Results on
different processors differ by about 1e-15 of full scale, which rounding to 16 bits removes.
"""

import functools
import hashlib
import io
import itertools
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import soundfile

from genreclf.config import check_choice
from genreclf.errors import GenreclfError, explained
from genreclf.files import write_atomically
from genreclf.frontend.audio import SAMPLE_RATE_HZ
from genreclf.progress import Report

FULL_SCALE = 32_768  # for 16-bit samples
MAX_SECONDS = 600.0

T = TypeVar("T")
Ranges = tuple[tuple[float, float], ...]


class Style(NamedTuple):
    """A pattern for each role. "|" separates alternatives, of which each clip draws one. An empty line is silent.

    A line has one character per step and repeats. '.' is a rest, '-' holds the note. Drums: 'x' is loud, 'o' soft.
    Pitched: a digit is that tone of the chord, from the root up; 'c' is the whole chord; 'p' is root, fifth and octave.
    """

    tempo_bpm: tuple[float, float]
    steps: tuple[int, int, int]  # per beat, per bar, per chord
    drums: tuple[str, str, str]  # low (bass drum), middle (snare), high (hi-hat)
    bass: str
    chords: str
    drive: float = 0.15  # probability that a pitched line is distorted


_STYLES = {
    "arpeggio": Style((84, 124), (4, 16, 16), ("|x.......x.......", "|....o.......o...", "|x...x...|x.o.x.o."),
        "0---------------|0-------0-----..|", "01234321|02132431|01213121|43210123"),
    "bossa": Style((62, 88), (4, 16, 16), ("x..xx..x", "x..x..x...x..x..|..x.x...x..x..x.", "xoxo|oooo"),
        "0--22--0|0--.2--2", "c-.c..c-..c..c-.|.c..c-.c..c-.c..|c..c..c.c..c..c."),
    "breakbeat": Style((112, 168), (4, 16, 16), ("x.x.......x.....|x.....x..xx.....|x..x........x..x",
        "....x..o.o..x..o|....x..x.o..x...", "x.x.x.x.|xxo.xxo."), "0--....0..2-....|0.0...0...3.2...",
        "c---------------|..c.......c..c..|...c...c....c...|"),
    "chorale": Style((56, 96), (2, 8, 2), ("|x.......|x...x...", "||......o.", "||o.o.o.o."),
        "0-0-0-0-|0-2-3-0-|0-0-0--.", "c-c-c-c-|c-c-c---|c--cc-c-|c-c-c--."),
    "drone": Style((50, 84), (2, 8, 32), ("|x.......", "||..............o.", "||o...o..."),
        "0-------|0---------------", "c---------------|p-----------c---"),
    "four_on_the_floor": Style((112, 136), (4, 16, 16), ("x...", "....x...|....x.......x.o.|", "..x.|o.x.|ooxo"),
        "..0.|.000.000.000.033", "c---------------|..c.|c..c..c..c..c...|"),
    "march": Style((92, 128), (4, 16, 16), ("x.......|x...", "x.xxx.x.x.xxxxxx|x...x.xxx...x.xx|x..xx..xx..xxxxx",
        "|....x...|x..."), "0-......2-......|0-..2-..", "....c-..|..c.|c-......c-..c-.."),
    "power_chords": Style((108, 168), (4, 16, 16), ("x.....x.x.......|x.x...x.x.....x.", "....x...|....x.......x.o.",
        "x.x.|x..."), "0.0.|0-0-", "p.p.|p-----p.p.p.p.p.|p.ppp.pp", 0.7),
    "shuffle": Style((92, 140), (3, 12, 12), ("x.....x.....|x....xx.....|x..", "...x..|...x.o..ox..", "x.x|x..x.x"),
        "0-.1-.2-.3-.|0.02.23.22.0", "..c...|c-...c.....c|c.c"),
    "waltz": Style((108, 176), (2, 6, 6), ("x.....|x.....x...x.", "..x.x.|..o.o.|", "..x.x.|x.x.x.|x.xxx.|"),
        "0-....2-....|0-----|0-....2-0-..", "..c.c.|..c-c-|c-c-c-"),
}  # fmt: skip

STYLES: tuple[str, ...] = tuple(_STYLES)

# Each clip draws from these ranges. Drums: pitch in Hz, tone decay in seconds, noise level, lowest frequency of the
# noise in Hz, noise decay in seconds. Instruments: brightness, attack in seconds, decay in seconds, sustain level.
_DRUMS: tuple[Ranges, ...] = (
    ((40, 90), (0.10, 0.35), (0.0, 0.3), (100, 800), (0.005, 0.05)),
    ((160, 500), (0.03, 0.10), (0.4, 1.5), (400, 1_500), (0.02, 0.16)),
    ((3_000, 7_000), (0.01, 0.10), (1.0, 3.0), (3_500, 5_500), (0.02, 0.25)),
)
_INSTRUMENT: Ranges = ((0.3, 0.85), (0.002, 0.08), (0.2, 1.0), (0.0, 0.9))
_SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10))  # semitones: major, minor
_CHORD_TONES = (0, 2, 4, 7, 9, 11)  # steps of the scale
_PROGRESSIONS = ((0, 3, 4, 0), (0, 5, 3, 4), (1, 4, 0, 5), (0, 0, 3, 0, 4, 3, 0, 4))  # roots, steps of the scale


def render(style: str, index: int, seed: int, seconds: float) -> np.ndarray:
    """Renders clip `index` of `style`: (samples,) float32 mono at `SAMPLE_RATE_HZ`.

    The peak is in [0.4, 1), and samples are multiples of 1 / 32,768. Raises GenreclfError for an unknown style, and for
    a length below one second or above ten minutes.
    """
    check_choice("style", style, STYLES)
    if not 1.0 <= seconds <= MAX_SECONDS:
        raise GenreclfError(f"data.demo_seconds={seconds}: choose a length from 1 to {MAX_SECONDS:.0f} s")
    digest = hashlib.sha256(f"{seed}/{style}/{index}".encode()).digest()
    rng = np.random.Generator(np.random.PCG64(int.from_bytes(digest, "big")))
    mix = _Song(_STYLES[style], seconds, rng).mix()
    peak = rng.uniform(0.4, 0.97) * FULL_SCALE
    return (np.rint(mix * (peak / np.abs(mix).max())) / FULL_SCALE).astype(np.float32)


def _pick(options: Sequence[T], rng: np.random.Generator) -> T:
    return options[int(rng.random() * len(options))]


class _Song:
    """The tempo, key and chords of one clip, and the tracks that play them. The clip may begin anywhere in a bar."""

    def __init__(self, style: Style, seconds: float, rng: np.random.Generator) -> None:
        self.style, self.rng, self.samples = style, rng, round(seconds * SAMPLE_RATE_HZ)
        per_beat, per_bar, self.steps_per_chord = style.steps
        self.step_seconds = 60.0 / rng.uniform(*style.tempo_bpm) / per_beat
        self.start_seconds = rng.random() * per_bar * self.step_seconds
        self.steps = math.ceil((seconds + self.start_seconds) / self.step_seconds)
        self.key, self.scale = int(rng.random() * 12) - 6, _pick(_SCALES, rng)
        self.roots = _pick(_PROGRESSIONS, rng)

    def mix(self) -> np.ndarray:
        """Mixes all tracks and a little noise, with the treble turned down: (samples,)."""
        mix = 0.005 * self.rng.random() ** 3 * self.rng.uniform(-1.0, 1.0, self.samples)
        for lines, drum in zip(self.style.drums, _DRUMS, strict=True):
            mix += self.rng.uniform(0.5, 1.0) * self._drum_track(lines, drum)
        melody = "".join(_pick("01234-----.", self.rng) for _ in range(4 * self.style.steps[1]))
        for lines, octave_midi, level in (self.style.bass, 36, 0.28), (self.style.chords, 60, 0.28), (melody, 72, 0.1):
            mix += self.rng.uniform(0.5, 1.0) * level * self._pitched_track(lines, octave_midi)
        octaves = np.log2(np.maximum(np.fft.rfftfreq(self.samples, 1 / SAMPLE_RATE_HZ), 20.0) / 800.0)
        gain = 10.0 ** (self.rng.uniform(-3.0, -1.0) * octaves / 20.0)
        return np.fft.irfft(np.fft.rfft(mix) * gain, self.samples)

    def _events(self, lines: str) -> Iterator[tuple[int, int, str, int]]:
        """Yields (step, first sample, symbol, steps held) for each note of one of `lines`, a few ms early or late."""
        line = _pick(lines.split("|"), self.rng)
        for event in re.finditer(r"[^.-]-*", (line * self.steps)[: self.steps]):
            seconds = event.start() * self.step_seconds - self.start_seconds + self.rng.uniform(-0.008, 0.008)
            yield event.start(), round(seconds * SAMPLE_RATE_HZ), event.group()[0], len(event.group())

    def _drum_track(self, lines: str, drum: Ranges) -> np.ndarray:
        track, stroke = np.zeros(self.samples), _stroke(drum, self.rng)
        for _, start, symbol, _ in self._events(lines):
            _add(track, self.rng.uniform(0.7, 1.0) * (1.0 if symbol == "x" else 0.35) * stroke, start)
        return track

    def _pitched_track(self, lines: str, octave_midi: int) -> np.ndarray:
        """Renders one of `lines` with a pitched instrument: (samples,) with RMS 1, or silence."""
        track, instrument = np.zeros(self.samples), [self.rng.uniform(*span) for span in _INSTRUMENT]
        note = functools.cache(lambda midi, held: _note(midi, (held - 0.2) * self.step_seconds, *instrument))
        for step, start, symbol, held in self._events(lines):
            for midi in self._pitches(symbol, step, octave_midi):
                _add(track, self.rng.uniform(0.6, 1.0) * note(midi, held), start)
        if self.rng.random() < self.style.drive:
            track = np.tanh(self.rng.uniform(1.0, 6.0) * _normalized(track))
        return _normalized(track)

    def _pitches(self, symbol: str, step: int, octave_midi: int) -> list[int]:
        """Returns the MIDI pitches of a symbol at a step."""
        root = self.roots[step // self.steps_per_chord % len(self.roots)]
        if symbol == "c":
            return [octave_midi + self._semitones(root + tone) % 12 for tone in _CHORD_TONES[:4]]
        if symbol == "p":
            return [octave_midi - 12 + self._semitones(root) % 12 + interval for interval in (0, 7, 12)]
        return [octave_midi + self._semitones(root % 7 + _CHORD_TONES[int(symbol)])]

    def _semitones(self, degree: int) -> int:
        return self.key + 12 * (degree // 7) + self.scale[degree % 7]


def _add(track: np.ndarray, sound: np.ndarray, start: int) -> None:
    """Adds a sound to a track at sample `start`, cutting off the parts outside the track."""
    inside = sound[max(-start, 0) : max(len(track) - start, 0)]
    track[max(start, 0) :][: len(inside)] += inside


def _normalized(sound: np.ndarray) -> np.ndarray:
    """Scales a sound to RMS 1. Silence stays silent."""
    return sound / (np.sqrt(np.mean(sound**2)) or 1.0)


def _note(midi: int, seconds: float, bright: float, attack: float, decay: float, sustain: float) -> np.ndarray:
    """Renders one note, a sum of harmonics whose amplitudes decrease by the factor `bright`: (samples,)."""
    t = np.arange(round((seconds + 0.1) * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    hz = 440.0 * 2.0 ** ((midi - 69) / 12)
    # With z the phasor of the pitch, the sum of the harmonics is z / (1 - bright z) (Moorer, JAES 24(9), 1976). The
    # limit on `bright` keeps harmonics above the Nyquist frequency at least 60 dB down.
    phasor, bright = np.exp(2j * np.pi * hz * t), min(bright, 10.0 ** (-6.0 * hz / SAMPLE_RATE_HZ))
    level = sustain + (1.0 - sustain) * np.exp(-t / decay)
    return (phasor / (1.0 - bright * phasor)).imag * level * np.minimum(np.minimum(t / attack, (t[-1] - t) / 0.1), 1.0)


def _stroke(drum: Ranges, rng: np.random.Generator) -> np.ndarray:
    """Renders one drum stroke with peak 1, a falling tone plus high-passed noise: (samples,)."""
    hz, tone_decay, noise_level, low_hz, noise_decay = (rng.uniform(*span) for span in drum)
    t = np.arange(round(6 * max(tone_decay, noise_decay) * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    gain = 1.0 / (1.0 + (low_hz / np.maximum(np.fft.rfftfreq(len(t), 1 / SAMPLE_RATE_HZ), 1.0)) ** 2)
    noise = np.fft.irfft(np.fft.rfft(rng.uniform(-1.0, 1.0, len(t))) * gain, len(t))
    sound = np.sin(2 * np.pi * (hz * t - 1.5 * np.exp(-t / 0.03))) * np.exp(-t / tone_decay)
    sound += noise_level * noise * np.exp(-t / noise_decay)
    return sound / np.abs(sound).max()


def write_demo(folder: Path, clips_per_style: int, seconds: float, seed: int, progress: Report | None) -> None:
    """Writes folder/<style>/<style>.NNNNN.wav (16-bit PCM) for all styles and indices, and calls progress(done, total).

    Existing files are kept, so use one folder per `seconds` and `seed`. Raises GenreclfError as `render` does, and if
    there are no clips per style or the folder cannot be written.
    """
    if clips_per_style < 1:
        raise GenreclfError(f"data.demo_clips_per_style={clips_per_style}: choose at least 1")
    clips = list(itertools.product(STYLES, range(clips_per_style)))
    for done, (style, index) in enumerate(clips, start=1):
        path = folder / style / f"{style}.{index:05d}.wav"
        if not path.exists():
            samples, wav = render(style, index, seed, seconds) * FULL_SCALE, io.BytesIO()
            soundfile.write(wav, samples.astype(np.int16), SAMPLE_RATE_HZ, format="WAV", subtype="PCM_16")
            with explained(f"{path}: cannot be written", "choose another folder", OSError):
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(path, wav.getvalue())
        if progress is not None:
            progress(done, len(clips))
