"""The embedded demo music: ten procedural styles that a machine without network or data set can render.

The styles are named after what they are, patterns of rhythm and harmony; they are not stand-ins for GTZAN's genres.
Instruments, drums, keys, scales, mixes, rooms and equalisers come from pools that all styles share, so that the mean
spectrum says little about the style and the pattern in time says much.

The same arguments give the same bytes everywhere. Every clip draws from its own PCG64, seeded by a SHA-256 of seed,
style and index, and only through `Generator.random`; the moments of all notes come from plain arithmetic. The sound is
computed in float64, whose last bits may differ between processors and builds of NumPy (sine, FFT), and is then rounded
to 16 bits. Such differences were measured as 1e-15 of full scale at most, so that not one sample of two hundred clips
of 10 s is expected to round otherwise. Files are WAV with 16-bit PCM: a header of fixed layout and those samples, with
no encoder whose version could matter.
"""

import contextlib
import functools
import hashlib
import io
import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import soundfile

from genreclf.errors import GenreclfError
from genreclf.frontend.audio import SAMPLE_RATE_HZ

FULL_SCALE = 32_768  # of 16-bit samples, which are those of the files
LONGEST_S = 600.0

T = TypeVar("T")
Span = tuple[float, float]


# --- What is played: patterns, one character a step, spaces for the eye ---------------------------------------------
# '.' rest, '-' hold; drums: 'x' loud, 'o' soft; pitched: a digit is that tone of the chord counted from its root
# upwards, 'c' the whole chord in close position, 'p' root, fifth and octave. A line repeats when it ends; "" is silent.


@dataclass(frozen=True)
class Style:
    """What makes a style: tempo in beats a minute, metre, a new chord every `chord_beats`, and who plays what.

    `low`, `back` and `tick` are for the drums of those roles. Of the alternative lines for a role each clip draws one,
    and one of the `drums` and `players` to play it. `drive` is the chance that a pitched line is distorted.
    """

    tempo_bpm: Span
    beats_per_bar: int
    steps_per_beat: int
    chord_beats: int
    low: tuple[str, ...]
    back: tuple[str, ...]
    tick: tuple[str, ...]
    bass: tuple[str, ...]
    chords: tuple[str, ...]
    drums: str
    players: str
    drive: float = 0.15


_STYLES = {
    "arpeggio": Style(
        (84, 124), 4, 4, 4,
        low=("", "x... .... x... ....", "x... .... .... ...."),
        back=("", ".... .... x... ....", ".... o... .... o..."),
        tick=("", "x... x... x... x...", "x.o. x.o. x.o. x.o."),
        bass=("0--- ---- ---- ----", "0--- ---- 0--- --..", ""),
        chords=("0123 4321", "0213 2431", "0121 3121", "012 012 012 012 0123", "4321 0123"),
        drums="kick clap hat shaker",
        players="piano guitar electric_piano square",
    ),
    "bossa": Style(
        (62, 88), 4, 4, 4,
        low=("x..x x..x x..x x..x", "x... x..x x... x..x"),
        back=("x..x ..x. ..x. .x..", "..x. x... x..x ..x.", "x..x ..x. ..x. x..."),
        tick=("xoxo xoxo xoxo xoxo", "oooo oooo oooo oooo", "x.x. x.x. x.x. x.x."),
        bass=("0--2 2--0 0--2 2--0", "0--. 2--2 0--. 2--2"),
        chords=("c-.c ..c- ..c. .c-.", ".c.. c-.c ..c- .c..", "c..c ..c. c..c ..c."),
        drums="kick bass_drum rim conga shaker hat",
        players="guitar electric_piano marimba",
    ),
    "breakbeat": Style(
        (112, 168), 4, 4, 4,
        low=("x.x. .... ..x. ....", "x.x. .... ..xx ....", "x... ..x. .xx. ....", "x..x .... ..x. ..x."),
        back=(".... x..o .o.. x..o", ".... x..o .o.. ..x.", ".... x..x .o.. x...", ".... x... .o.o x..o"),
        tick=("x.x. x.x. x.x. x.x.", "xxo. xxo. xxo. xxo.", "x.xo x.xo x.xo x.xx"),
        bass=("0--. ...0 ..2- ....", "0.0. ..0. ..3. 2...", "0--- ---- --.. 0.3."),
        chords=("c--- ---- ---- ----", "..c. .... ..c. .c..", "...c ...c .... c...", ""),
        drums="kick snare hat open_hat",
        players="synthesiser electric_piano square",
    ),
    "chorale": Style(
        (56, 96), 4, 2, 1,
        low=("", "x. .. .. ..", "x. .. x. .."),
        back=("", "", ".. .. .. o."),
        tick=("", "", "o. o. o. o."),
        bass=("0- 0- 0- 0-", "0- 2- 3- 0-", "0- 0- 0- -."),
        chords=("c- c- c- c-", "c- c- c- --", "c- -c c- c-", "c- c- c- -."),
        drums="bass_drum rim ride",
        players="organ strings brass",
    ),
    "drone": Style(
        (50, 84), 4, 2, 16,
        low=("", "x. .. .. ..", "x. .. .. .. .. .. .. .."),
        back=("", "", ".. .. .. .. .. .. .. o."),
        tick=("", "", "o. .. o. .."),
        bass=("0- -- -- --", "0- -- -- -- -- -- -- --"),
        chords=("c- -- -- -- -- -- -- --", "p- -- -- -- -- -- c- --", "c- -- -- -- -- -- -- -- -- -- -- --"),
        drums="bass_drum tom conga shaker",
        players="strings synthesiser glass",
    ),
    "four_on_the_floor": Style(
        (112, 136), 4, 4, 4,
        low=("x... x... x... x...", "x... x... x... x..o"),
        back=(".... x... .... x...", ".... x... .... x.o.", ""),
        tick=("..x. ..x. ..x. ..x.", "o.x. o.x. o.x. o.x.", "ooxo ooxo ooxo ooxo"),
        bass=("..0. ..0. ..0. ..0.", ".000 .000 .000 .033", "0.3. 0.3. 0.3. 0.3."),
        chords=("c--- ---- ---- ----", "..c. ..c. ..c. ..c.", "c..c ..c. .c.. c...", ""),
        drums="kick clap snare hat open_hat",
        players="synthesiser piano strings",
    ),
    "march": Style(
        (92, 128), 4, 4, 4,
        low=("x... .... x... ....", "x... x... x... x..."),
        back=("x.xx x.x. x.xx xxxx", "x... x.xx x... x.xx", "x..x x..x x..x xxxx", "xoxx ooxx xoxx oooo"),
        tick=("", ".... x... .... x...", "x... .... x... ...."),
        bass=("0-.. .... 2-.. ....", "0-.. 2-.. 0-.. 2-..", "0-.. .... 0-.. 2-.."),
        chords=(".... c-.. .... c-..", "..c. ..c. ..c. ..c.", "c-.. .... c-.. c-.."),
        drums="bass_drum tom snare ride",
        players="brass clarinet marimba",
    ),
    "power_chords": Style(
        (108, 168), 4, 4, 4,
        low=("x... ..x. x... ....", "x... ..x. x.x. ....", "x.x. ..x. x... ..x."),
        back=(".... x... .... x...", ".... x... .... x.o."),
        tick=("x.x. x.x. x.x. x.x.", "x... x... x... x..."),
        bass=("0.0. 0.0. 0.0. 0.0.", "0-0- 0-0- 0-0- 0-0-"),
        chords=("p.p. p.p. p.p. p.p.", "p--- --p. p.p. p.p.", "p.pp p.pp p.pp p.pp", "p--p --p- p-p- p-p-"),
        drums="kick snare open_hat ride",
        players="guitar synthesiser organ",
        drive=0.7,
    ),
    "shuffle": Style(
        (92, 140), 4, 3, 4,
        low=("x.. ... x.. ...", "x.. ..x x.. ...", "x.. x.. x.. x.."),
        back=("... x.. ... x..", "... x.o ..o x.."),
        tick=("x.x x.x x.x x.x", "x.. x.x x.. x.x"),
        bass=("0-. 1-. 2-. 3-.", "0.0 2.2 3.2 2.0", "0-. 0-. 2-. 1-."),
        chords=("..c ... ..c ...", "c-. ..c ... ..c", "c.c c.c c.c c.c", "c-- --. ... ..c"),
        drums="kick snare rim ride hat",
        players="piano organ guitar brass",
    ),
    "waltz": Style(
        (108, 176), 3, 2, 3,
        low=("x. .. ..", "x. .. .. x. .. x."),
        back=(".. x. x.", ".. o. o.", ".. x. .o", ""),
        tick=(".. x. x.", "x. x. x.", "x. xx x.", ""),
        bass=("0- .. .. 2- .. ..", "0- -- --", "0- .. 2- 0- .. .."),
        chords=(".. c. c.", ".. c- c-", "c- c- c-", "0. 1. 2. 0. 2. 1."),
        drums="tom bass_drum conga rim ride shaker",
        players="strings piano clarinet glass",
    ),
}  # fmt: skip

STYLES: tuple[str, ...] = tuple(_STYLES)

# --- What it is played on: pools that all styles share ----------------------------------------------------------------


@dataclass(frozen=True)
class Instrument:
    """A pitched sound: partials at (1 + k * spacing) * pitch, whose amplitudes fall by the factor `bright` each.

    `bright` moves from its first value to its second with the time constant `bright_s`; the level falls to `sustain`
    with the time constant `decay_s`.
    """

    spacing: float
    bright: Span
    bright_s: float
    attack_s: float
    decay_s: float
    sustain: float
    release_s: float


_INSTRUMENTS = {
    "piano": Instrument(1.0, (0.80, 0.40), 0.25, 0.003, 0.70, 0.00, 0.10),
    "guitar": Instrument(1.0, (0.90, 0.45), 0.12, 0.002, 0.45, 0.00, 0.08),
    "electric_piano": Instrument(4.0, (0.35, 0.02), 0.10, 0.003, 0.90, 0.00, 0.15),
    "marimba": Instrument(2.76, (0.40, 0.05), 0.08, 0.002, 0.30, 0.00, 0.20),
    "square": Instrument(2.0, (0.85, 0.50), 0.15, 0.003, 0.30, 0.10, 0.05),
    "organ": Instrument(1.0, (0.60, 0.60), 1.00, 0.010, 1.00, 1.00, 0.05),
    "strings": Instrument(1.0, (0.65, 0.82), 0.25, 0.080, 1.00, 1.00, 0.20),
    "brass": Instrument(1.0, (0.35, 0.82), 0.06, 0.030, 0.30, 0.70, 0.08),
    "clarinet": Instrument(2.0, (0.60, 0.70), 0.20, 0.030, 1.00, 0.90, 0.06),
    "synthesiser": Instrument(1.0, (0.92, 0.70), 0.40, 0.010, 0.50, 0.60, 0.10),
    "glass": Instrument(1.5, (0.50, 0.30), 0.80, 0.050, 1.00, 0.80, 0.25),
}


@dataclass(frozen=True)
class Drum:
    """A struck sound: a tone that glides down by `glide` cycles, and noise in a band; spans are drawn once a clip."""

    tone_hz: Span
    glide: Span
    tone_s: Span
    noise: Span
    band_hz: Span
    noise_s: Span
    attack_s: float


_DRUMS = {
    "low": {
        "kick": Drum((42, 62), (1.0, 3.5), (0.10, 0.30), (0.05, 0.3), (800, 6000), (0.004, 0.012), 0.001),
        "tom": Drum((65, 110), (0.5, 1.5), (0.15, 0.35), (0.05, 0.2), (200, 2000), (0.02, 0.05), 0.002),
        "bass_drum": Drum((36, 48), (0.5, 1.5), (0.25, 0.50), (0.00, 0.1), (100, 1000), (0.02, 0.06), 0.004),
    },
    "back": {
        "snare": Drum((160, 240), (0.2, 0.8), (0.05, 0.10), (0.6, 1.5), (700, 9000), (0.06, 0.16), 0.001),
        "clap": Drum((900, 1300), (0.0, 0.1), (0.01, 0.02), (0.8, 1.5), (800, 5000), (0.06, 0.12), 0.006),
        "rim": Drum((1200, 2000), (0.0, 0.1), (0.02, 0.04), (0.2, 0.5), (1500, 6000), (0.01, 0.02), 0.001),
        "conga": Drum((300, 500), (0.3, 0.8), (0.06, 0.12), (0.2, 0.6), (400, 4000), (0.02, 0.06), 0.001),
    },
    "tick": {
        "hat": Drum((5000, 7000), (0.0, 0.0), (0.01, 0.03), (1.0, 2.0), (5500, 11000), (0.015, 0.05), 0.001),
        "open_hat": Drum((4000, 6000), (0.0, 0.0), (0.05, 0.15), (1.0, 2.0), (4500, 11000), (0.10, 0.25), 0.001),
        "shaker": Drum((3000, 4000), (0.0, 0.0), (0.01, 0.02), (2.0, 3.0), (3500, 10000), (0.025, 0.05), 0.015),
        "ride": Drum((3200, 4800), (0.0, 0.0), (0.06, 0.18), (1.0, 2.0), (4000, 11000), (0.12, 0.35), 0.001),
    },
}

_SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 3, 5, 7, 9, 10), (0, 2, 4, 5, 7, 9, 10))
_STACKS = ((0, 2, 4, 7, 9, 11), (0, 2, 4, 6, 7, 9), (0, 4, 7, 9, 11, 14))  # tones of a chord, in steps of the scale
_PROGRESSIONS = ((0, 3, 4, 0), (0, 5, 3, 4), (1, 4, 0, 5), (0, 0, 3, 0, 4, 3, 0, 4), (5, 3, 0, 4), (0, 6, 5, 4), (0, 3))


# --- Rendering --------------------------------------------------------------------------------------------------------


def render(style: str, index: int, seed: int, seconds: float) -> np.ndarray:
    """Clip `index` of `style`: (samples,) float32 mono at `SAMPLE_RATE_HZ`, peak below 1.

    The samples lie on the grid of 16-bit audio (multiples of 1 / 32,768), so a PCM file holds exactly these values.
    Raises GenreclfError for an unknown style and for a length outside one second to ten minutes.
    """
    if style not in _STYLES:
        raise GenreclfError(f"demo style {style!r}: unknown; choose one of {', '.join(STYLES)}")
    if not 1.0 <= seconds <= LONGEST_S:
        raise GenreclfError(f"data.demo_seconds={seconds}: choose a length from 1 to {LONGEST_S:.0f} s")
    dice = _Dice(seed, style, index)
    mix = _master(_band(_STYLES[style], seconds, dice), dice)
    peak = dice.between(0.4, 0.97) * FULL_SCALE
    return (np.rint(mix * (peak / np.abs(mix).max())) / FULL_SCALE).astype(np.float32)


class _Dice:
    """The draws of one clip. All of them go through `Generator.random`, 53 bits of PCG64 each."""

    def __init__(self, seed: int, style: str, index: int) -> None:
        digest = hashlib.sha256(f"{seed}/{style}/{index}".encode()).digest()
        self._generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest, "big")))

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self._generator.random()

    def pick(self, options: Sequence[T]) -> T:
        return options[int(self._generator.random() * len(options))]

    def chance(self, probability: float) -> bool:
        return self._generator.random() < probability

    def noise(self, samples: int) -> np.ndarray:
        """(samples,) white noise in [-1, 1)."""
        return 2.0 * self._generator.random(samples) - 1.0


@dataclass(frozen=True)
class _Grid:
    """The steps of one clip; it begins anywhere inside a bar, as an excerpt does."""

    step_s: float
    swing: float
    start_s: float
    steps: int
    steps_per_beat: int
    steps_per_bar: int
    samples: int

    def sample(self, step: int, late_s: float) -> int:
        """The sample at which a step begins; odd steps come late by the swing."""
        return round(((step + self.swing * (step % 2)) * self.step_s - self.start_s + late_s) * SAMPLE_RATE_HZ)


def _grid(style: Style, seconds: float, dice: _Dice) -> _Grid:
    step_s = 60.0 / dice.between(*style.tempo_bpm) / style.steps_per_beat
    steps_per_bar = style.beats_per_bar * style.steps_per_beat
    start_s = dice.between(0.0, 1.0) * steps_per_bar * step_s
    swing = dice.between(0.0, 0.15) if style.steps_per_beat == 4 else 0.0
    return _Grid(
        step_s=step_s,
        swing=swing,
        start_s=start_s,
        steps=math.ceil((seconds + start_s) / step_s),
        steps_per_beat=style.steps_per_beat,
        steps_per_bar=steps_per_bar,
        samples=round(seconds * SAMPLE_RATE_HZ),
    )


@dataclass(frozen=True)
class _Harmony:
    """Key, scale and chords of one clip."""

    key: int  # semitones from C
    scale: tuple[int, ...]
    stack: tuple[int, ...]
    roots: tuple[int, ...]  # one a chord, in steps of the scale
    steps_per_chord: int

    def pitches(self, symbol: str, step: int, octave_midi: int) -> list[int]:
        """The MIDI pitches that a symbol of a line stands for at a step."""
        root = self.roots[step // self.steps_per_chord % len(self.roots)]
        if symbol == "c":
            tones = {self._semitones(root + tone) % 12 for tone in self.stack[:4]}
            return [octave_midi + tone for tone in sorted(tones)]
        if symbol == "p":
            base = octave_midi - 12 + self._semitones(root) % 12
            return [base, base + 7, base + 12]
        return [octave_midi + self._semitones(root % 7 + self.stack[int(symbol)])]

    def _semitones(self, degree: int) -> int:
        return self.key + 12 * (degree // 7) + self.scale[degree % 7]


def _harmony(style: Style, dice: _Dice) -> _Harmony:
    roots = dice.pick(_PROGRESSIONS)
    turn = int(dice.between(0, len(roots)))
    steps_per_chord = style.chord_beats * style.steps_per_beat
    return _Harmony(
        math.floor(dice.between(-6, 6)),
        dice.pick(_SCALES),
        dice.pick(_STACKS),
        roots[turn:] + roots[:turn],
        steps_per_chord,
    )


def _band(style: Style, seconds: float, dice: _Dice) -> np.ndarray:
    """All players together: (samples,)."""
    grid, harmony = _grid(style, seconds, dice), _harmony(style, dice)
    mix = 0.005 * dice.between(0.0, 1.0) ** 3 * dice.noise(grid.samples)
    for role, lines in (("low", style.low), ("back", style.back), ("tick", style.tick)):
        drum = _DRUMS[role][dice.pick([name for name in style.drums.split() if name in _DRUMS[role]])]
        mix += dice.between(0.5, 1.0) * _drum_line(dice.pick(lines), drum, grid, dice)
    tunes = (_tune(grid, dice), "")
    for lines, octave_midi, loudest in ((style.bass, 36, 0.28), (style.chords, 60, 0.28), (tunes, 72, 0.18)):
        player = _INSTRUMENTS[dice.pick(style.players.split())]
        line = _pitched_line(dice.pick(lines), player, octave_midi, grid, harmony, dice)
        mix += loudest * dice.between(0.5, 1.0) * _coloured(line, style.drive, dice)
    return mix


def _tune(grid: _Grid, dice: _Dice) -> str:
    """A line of two bars, made up on the spot, busier on the beat than off it."""
    density = dice.between(0.2, 0.7)
    symbols = []
    for step in range(2 * grid.steps_per_bar):
        weight = 1.0 if step % grid.steps_per_beat == 0 else 0.5
        symbols.append(dice.pick("01234") if dice.chance(density * weight) else dice.pick("-----."))
    return "".join(symbols)


def _events(line: str, grid: _Grid, dice: _Dice) -> Iterator[tuple[int, str, int]]:
    """(step, symbol, steps held) of a line over the whole clip; a player now and then leaves out two bars or a note."""
    line = line.replace(" ", "")
    if not line:
        return
    phrase = 2 * grid.steps_per_bar
    rests = [dice.chance(0.05) for _ in range(grid.steps // phrase + 1)]
    for event in re.finditer(r"[^.-]-*", (line * (grid.steps // len(line) + 1))[: grid.steps]):
        if not (rests[event.start() // phrase] or dice.chance(0.03)):
            yield event.start(), event.group()[0], len(event.group())


def _drum_line(line: str, drum: Drum, grid: _Grid, dice: _Dice) -> np.ndarray:
    track, sound = np.zeros(grid.samples), _struck(drum, dice)
    for step, symbol, _ in _events(line, grid, dice):
        gain = dice.between(0.7, 1.0) * (1.0 if symbol == "x" else 0.35)
        _add(track, gain * sound, grid.sample(step, dice.between(-0.006, 0.006)))
    return track


def _pitched_line(
    line: str, instrument: Instrument, octave_midi: int, grid: _Grid, harmony: _Harmony, dice: _Dice
) -> np.ndarray:
    track, gate = np.zeros(grid.samples), dice.between(0.6, 1.0)
    tone = functools.cache(lambda midi, held: _tone(instrument, midi, (held - 1 + gate) * grid.step_s))
    for step, symbol, held in _events(line, grid, dice):
        start = grid.sample(step, dice.between(-0.008, 0.008))
        for midi in harmony.pitches(symbol, step, octave_midi):
            _add(track, dice.between(0.6, 1.0) * tone(midi, held), start)
    return track


def _add(track: np.ndarray, sound: np.ndarray, start: int) -> None:
    """Adds a sound to a track from a sample on; what lies outside is cut off."""
    first, last = max(start, 0), min(start + len(sound), len(track))
    if first < last:
        track[first:last] += sound[first - start : last - start]


# --- Sounds -----------------------------------------------------------------------------------------------------------


def _tone(instrument: Instrument, midi: int, seconds: float) -> np.ndarray:
    """One note: (samples,), RMS of about 0.7 while it is loud.

    With z the turning pointer of the pitch and w that of the spacing, the endless sum of partials z (r w)^k is
    z / (1 - r w) (Moorer, "The Synthesis of Complex Audio Spectra by Means of Discrete Summation Formulae", JAES 24(9),
    1976). r is held so low that partials above half the sampling rate lie 60 dB down and more.
    """
    pitch_hz = 440.0 * 2.0 ** ((midi - 69) / 12)
    t = np.arange(round((seconds + instrument.release_s) * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    first, last = instrument.bright
    ceiling = 10.0 ** (-3.0 * instrument.spacing * pitch_hz / (SAMPLE_RATE_HZ / 2))
    r = np.minimum(last + (first - last) * np.exp(t / -instrument.bright_s), ceiling)
    pitch, spacing = _pointer(pitch_hz, len(t)), _pointer(pitch_hz * instrument.spacing, len(t))
    wave = (pitch / (1.0 - r * spacing)).imag * np.sqrt(1.0 - r * r)
    level = instrument.sustain + (1.0 - instrument.sustain) * np.exp(t / -instrument.decay_s)
    edges = np.minimum(t / instrument.attack_s, (t[-1] - t) / instrument.release_s)
    return wave * level * np.minimum(edges, 1.0)


def _pointer(hz: float, samples: int) -> np.ndarray:
    """exp(2 pi i hz t): (samples,) complex, as coarse turns times fine ones, which is quicker than sine by sine."""
    block = 256
    step = 2j * np.pi * hz / SAMPLE_RATE_HZ
    coarse = np.exp(step * block * np.arange(-(-samples // block)))
    fine = np.exp(step * np.arange(block))
    # (blocks, 1) x (block,) -> (blocks, block) -> (blocks * block,)
    return (coarse[:, None] * fine).reshape(-1)[:samples]


def _struck(drum: Drum, dice: _Dice) -> np.ndarray:
    """One stroke: (samples,), peak 1."""
    tone_s, noise_s = dice.between(*drum.tone_s), dice.between(*drum.noise_s)
    t = np.arange(round(6 * max(tone_s, noise_s) * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    cycles = dice.between(*drum.tone_hz) * t - dice.between(*drum.glide) * np.exp(t / -0.03)
    noise = _filtered(dice.noise(len(t)), lambda hz: _band_pass(hz, *drum.band_hz))
    sound = np.sin(2 * np.pi * cycles) * np.exp(t / -tone_s)
    sound += dice.between(*drum.noise) * noise * np.exp(t / -noise_s)
    sound *= np.minimum(t / drum.attack_s, 1.0)
    return sound / np.abs(sound).max()


# --- Effects ----------------------------------------------------------------------------------------------------------


def _coloured(line: np.ndarray, drive: float, dice: _Dice) -> np.ndarray:
    """A line through effects drawn for it, at RMS 1 (or all zero): (samples,)."""
    if not line.any():
        return line
    if dice.chance(0.4):
        line = _wobbled(line, dice)
    if dice.chance(drive):
        line = np.tanh(dice.between(1.0, 6.0) * _levelled(line))
    if dice.chance(0.3):
        line = _swelled(line, dice)
    if dice.chance(0.3):
        line = _echoed(line, dice)
    return _levelled(line)


def _levelled(sound: np.ndarray) -> np.ndarray:
    """The sound at RMS 1."""
    return sound / np.sqrt(np.mean(sound**2))


def _wobbled(line: np.ndarray, dice: _Dice) -> np.ndarray:
    """Vibrato, or with some of the plain sound, chorus: the line read with a delay that swings."""
    position = np.arange(len(line), dtype=np.float64)
    swing = np.sin((2 * np.pi * dice.between(0.8, 6.0) / SAMPLE_RATE_HZ) * position)
    wet = np.interp(position - SAMPLE_RATE_HZ * dice.between(0.0001, 0.0008) * (1.0 + swing), position, line)
    return wet + dice.pick((0.0, 0.7)) * line


def _swelled(line: np.ndarray, dice: _Dice) -> np.ndarray:
    """Slow swells, or quick tremolo."""
    rate_hz = dice.pick((dice.between(0.15, 0.6), dice.between(3.0, 7.0)))
    turns = rate_hz / SAMPLE_RATE_HZ * np.arange(len(line)) + dice.between(0.0, 1.0)
    return line * (1.0 + dice.between(0.2, 0.9) * np.sin(2 * np.pi * turns))


def _echoed(line: np.ndarray, dice: _Dice) -> np.ndarray:
    delay, gain = round(dice.between(0.12, 0.45) * SAMPLE_RATE_HZ), dice.between(0.2, 0.5)
    wet = line.copy()
    for repeat in (1, 2, 3):
        _add(wet, gain**repeat * line, repeat * delay)
    return wet


def _master(mix: np.ndarray, dice: _Dice) -> np.ndarray:
    """The mix in a room, through an equaliser, and a little saturated: (samples,)."""
    room_s = dice.between(0.1, 0.9) * dice.between(0.3, 1.0)
    samples = round(2.5 * room_s * SAMPLE_RATE_HZ)
    room = dice.noise(samples) * np.exp(np.arange(samples) / (-room_s / 3 * SAMPLE_RATE_HZ))
    room *= dice.between(0.05, 0.4) / np.sqrt(np.sum(room**2))
    room[0] += 1.0
    size = 1 << (len(mix) + samples - 1).bit_length()
    gains = _equaliser(np.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ), dice)
    wet = np.fft.irfft(np.fft.rfft(mix, size) * np.fft.rfft(room, size) * gains, size)[: len(mix)]
    return np.tanh(dice.between(0.1, 0.6) * _levelled(wet))


def _equaliser(hz: np.ndarray, dice: _Dice) -> np.ndarray:
    """Gains: a tilt, two broad bells, and the ends of the band cut off."""
    octaves = np.log2(np.maximum(hz, 20.0) / 800.0)
    gain_db = dice.between(-3.0, -1.0) * octaves
    for _ in range(2):
        centre, width = dice.between(-3.5, 3.5), dice.between(0.4, 1.2)
        gain_db += dice.between(-3.0, 3.0) * np.exp(-(((octaves - centre) / width) ** 2))
    return 10.0 ** (gain_db / 20.0) * _band_pass(hz, dice.between(25.0, 60.0), dice.between(7000.0, 14000.0))


def _filtered(sound: np.ndarray, gain: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The sound through a filter that has a gain for each frequency in Hz."""
    size = 1 << (2 * len(sound) - 1).bit_length()
    spectrum = np.fft.rfft(sound, size) * gain(np.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ))
    return np.fft.irfft(spectrum, size)[: len(sound)]


def _band_pass(hz: np.ndarray, low_hz: float, high_hz: float) -> np.ndarray:
    """Gains of a gentle band pass, 12 dB an octave on both sides."""
    return 1.0 / np.sqrt((1.0 + (low_hz / np.maximum(hz, 1.0)) ** 4) * (1.0 + (hz / high_hz) ** 4))


# --- Files ------------------------------------------------------------------------------------------------------------


def write_demo(
    folder: Path, clips_per_style: int, seconds: float, seed: int, progress: Callable[[int, int], None] | None
) -> None:
    """Writes folder/<style>/<style>.NNNNN.wav for all styles and indices, 16-bit PCM; calls progress(done, total).

    Files already there are kept unread, so an interrupted call goes on where it was: a folder belongs to one `seconds`
    and `seed`. Each file appears whole or not at all. Raises GenreclfError where `render` does, for fewer than one clip
    a style and for a folder that cannot be written.
    """
    if clips_per_style < 1:
        raise GenreclfError(f"data.demo_clips_per_style={clips_per_style}: choose at least one clip a style")
    clips = [(style, index) for style in STYLES for index in range(clips_per_style)]
    for done, (style, index) in enumerate(clips, start=1):
        path = folder / style / f"{style}.{index:05d}.wav"
        if not path.exists():
            _write_wav(path, render(style, index, seed, seconds))
        if progress is not None:
            progress(done, len(clips))


def _write_wav(path: Path, samples: np.ndarray) -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, (samples * FULL_SCALE).astype(np.int16), SAMPLE_RATE_HZ, format="WAV", subtype="PCM_16")
    # Named by process, so that two at work in one folder do not write into each other's file.
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(buffer.getvalue())
        unfinished.replace(path)
    except OSError as error:
        raise GenreclfError(f"{path}: cannot be written ({error.strerror}); choose another folder") from error
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
