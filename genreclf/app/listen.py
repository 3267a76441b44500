"""The page that listens: a song, a recording or a picture in; its genre, and why, out."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import soundfile
import streamlit as st

from genreclf.app import drawing, words
from genreclf.app.state import MAX_BYTES, MAX_SECONDS, heard, model_of, runs_folder
from genreclf.data.demo import STYLES, render
from genreclf.errors import GenreclfError
from genreclf.frontend.audio import SAMPLE_RATE_HZ
from genreclf.frontend.clip import CLIP_SUFFIXES
from genreclf.frontend.picture import PICTURE_SUFFIXES
from genreclf.inference.analysis import Analysis
from genreclf.inference.catalog import ModelEntry, list_models
from genreclf.inference.prediction import Prediction
from genreclf.inference.predictor import Model
from genreclf.inference.results import Row, row_of, show_csv, show_json
from genreclf.inference.run_folder import WEIGHTS
from genreclf.predict import DEFAULT

_DEMO_SECONDS = 15.0
_NOTHING = "none"


@dataclass(frozen=True)
class Sound:
    """An upload, by the name that people see."""

    name: str
    content: bytes

    @property
    def is_picture(self) -> bool:
        """By its name."""
        return Path(self.name).suffix.lower() in PICTURE_SUFFIXES


@dataclass(frozen=True)
class Chosen:
    """A model that was chosen, loaded; `key` tells it apart from others in the cache."""

    known: ModelEntry
    key: str
    model: Model


def page() -> None:
    """The page."""
    st.title("What genre is this?")
    st.caption("Drop a song in, record one, or try a demo sound. It stays in this machine's memory, and is not kept.")
    models = list_models(runs_folder())
    if not models:
        st.error(
            "There is no trained model here. Train one with `python -m genreclf.train`, or set GENRECLF_RUNS to the "
            "folder that holds your runs; then load this page again."
        )
        return
    first, second, tta, picture_seconds = _settings(models)
    sounds = _sounds()
    if not sounds:
        return
    try:
        chosen = [_chosen(known, tta) for known in (first, second) if known is not None]
    except GenreclfError as error:
        st.error(f"This model cannot be loaded. {error}")
        return
    if len(sounds) > 1:
        _table(sounds, chosen[0], picture_seconds)
        names = [sound.name for sound in sounds]
        place = st.selectbox("Look closer at", range(len(sounds)), format_func=lambda place: names[place])
        sounds = [sounds[place]]
    _one(sounds[0], chosen, picture_seconds)


def _settings(models: list[ModelEntry]) -> tuple[ModelEntry, ModelEntry | None, str, float]:
    labels = [known.label for known in models]
    usual = next((place for place, known in enumerate(models) if known.label.startswith(f"{DEFAULT} ")), 0)
    with st.sidebar:
        st.header("Model")
        first = models[labels.index(st.selectbox("Listens", labels, index=usual))]
        _facts(first)
        others = [_NOTHING, *(label for label in labels if label != first.label)]
        other = st.selectbox("Beside it", others, help="A second model answers, too, and both are compared.")
        second = models[labels.index(other)] if other != _NOTHING else None
        if second:
            _facts(second)
        keys = st.toggle("Listen in three keys", help="As it is, lower and higher (test-time augmentation): slower.")
        seconds = st.number_input("Seconds that a picture shows", 1.0, 3600.0, first.picture_seconds, step=1.0)
    return first, second, "keys" if keys else "none", float(seconds)


def _facts(known: ModelEntry) -> None:
    score = f"{known.accuracy} right on held-out clips" if known.accuracy else "not scored yet: see the page Scores"
    size = f"{known.parameters} parameters; " if known.parameters else ""
    st.caption(size + score)


def _sounds() -> list[Sound]:
    uploads = st.file_uploader(
        f"Audio (up to {MAX_SECONDS // 60} minutes), or a picture of a spectrogram",
        [suffix.removeprefix(".") for suffix in CLIP_SUFFIXES],
        accept_multiple_files=True,
    )
    left, right = st.columns(2)
    recording = left.audio_input("Or record something", sample_rate=None)
    style = right.selectbox("Or try a demo sound", [_NOTHING, *STYLES])
    sounds = [Sound(upload.name, upload.getvalue()) for upload in uploads]
    if recording is not None and not sounds:
        sounds = [Sound("recording.wav", recording.getvalue())]
    if style != _NOTHING and not sounds:
        sounds = [Sound(f"{style} (demo).wav", _demo(style))]
    return sounds


@st.cache_data(max_entries=len(STYLES), show_spinner="Playing the demo music …")
def _demo(style: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, render(style, 0, 0, _DEMO_SECONDS), SAMPLE_RATE_HZ, format="WAV")
    return file.getvalue()


def _chosen(known: ModelEntry, tta: str) -> Chosen:
    changed = (known.folder / WEIGHTS).stat().st_mtime if (known.folder / WEIGHTS).exists() else 0.0
    return Chosen(known, f"{known.folder} {tta} {changed}", model_of(str(known.folder), tta, changed))


def _heard(sound: Sound, chosen: Chosen, picture_seconds: float, what: str) -> Analysis:
    """Raises GenreclfError, which calls the sound by its name."""
    if len(sound.content) > MAX_BYTES:
        raise GenreclfError(f"{sound.name}: larger than {MAX_BYTES // 1024**2} MiB; give a shorter or smaller file")
    digest = hashlib.sha256(sound.content).hexdigest()
    try:
        return heard(chosen.key, digest, picture_seconds, chosen.model, sound.content, what)
    except GenreclfError as error:
        raise GenreclfError(str(error).replace("upload", sound.name, 1)) from error


def _table(sounds: list[Sound], chosen: Chosen, picture_seconds: float) -> None:
    """A line a file; one that cannot be read says why."""
    classes, rows = chosen.model.facts.classes, []
    for place, sound in enumerate(sounds, 1):
        try:
            answer = _heard(sound, chosen, picture_seconds, f"Listening to {place} of {len(sounds)}").prediction
        except GenreclfError as error:
            answer = error
        rows.append(row_of(Path(sound.name), answer, classes, segments=False))
    st.dataframe(
        [
            {
                "file": row["path"],
                "genre": row.get("genre", ""),
                "sure": row.get("probability"),
                "seconds": row.get("seconds"),
                "problem": row["problem"] or row.get("note", ""),
            }
            for row in rows
        ],
        hide_index=True,
        column_config={
            "sure": st.column_config.NumberColumn(format="percent"),
            "seconds": st.column_config.NumberColumn(format="%.0f"),
        },
    )
    _downloads(rows, classes, False, "genres")


def _one(sound: Sound, chosen: list[Chosen], picture_seconds: float) -> None:
    try:
        answers = [_heard(sound, one, picture_seconds, f"Listening: {one.known.label}") for one in chosen]
    except GenreclfError as error:
        st.error(str(error))
        return
    st.subheader(sound.name, divider="gray")
    if not sound.is_picture:
        st.audio(sound.content, format=_mime(sound.name))
    if answers[0].warning:
        st.warning(answers[0].warning)
    if answers[0].prediction.note:
        st.caption(f"About the file: {answers[0].prediction.note}.")
    classes = [one.model.facts.classes for one in chosen]
    for column, one, own, known in zip(st.columns(len(chosen)), chosen, answers, classes, strict=True):
        with column:
            _answer(own.prediction, known, one.known.label if len(chosen) > 1 else "")
    if len(chosen) > 1:
        st.info(words.agreement(answers[0].prediction, answers[1].prediction, *classes))
    _over_time(answers, chosen)
    rows = [row_of(Path(sound.name), answers[0].prediction, classes[0], segments=True)]
    _downloads(rows, classes[0], True, Path(sound.name).stem, answers[0].seen)


def _answer(prediction: Prediction, classes: tuple[str, ...], label: str) -> None:
    if label:
        st.caption(label)
    st.metric("Genre", prediction.genre, f"{prediction.probability:.0%} sure", delta_color="off", delta_arrow="off")
    st.write(words.trust(prediction))
    st.html(drawing.bars(prediction, classes))
    st.caption(words.also_likely(prediction, classes))


def _over_time(answers: list[Analysis], chosen: list[Chosen]) -> None:
    segments, classes = answers[0].prediction.segments, chosen[0].model.facts.classes
    spans = [f"{words.clock(own.start_seconds)} to {words.clock(own.end_seconds)}" for own in segments]
    st.markdown("#### Over time")
    place = None
    if len(segments) > 1:
        place = st.select_slider("A closer look at one part", [None, *range(len(segments))], format_func=_part(spans))
    elif answers[0].attention is not None:
        place = 0
    names = [one.known.label.split(" (")[0] for one in chosen]
    png = drawing.song(answers, names, [one.model.facts.classes for one in chosen], place)
    genres = ", ".join(f"{span} {words.best(own, classes)[0]}" for span, own in zip(spans, segments, strict=True))
    st.html(drawing.picture(png, f"Spectrogram over time and frequency, and the genre of each part: {genres}"))
    if place is not None and len(segments) > 1:
        genre, share = words.best(segments[place], classes)
        st.write(f"From {spans[place]} by itself, it says {genre} ({share:.0%}).")
    if place is not None and answers[0].attention is not None:
        st.caption("The lowest curve shows which moments of this part weighed most.")


def _part(spans: list[str]):
    return lambda place: "the whole" if place is None else spans[place]


def _downloads(rows: list[Row], classes: tuple[str, ...], segments: bool, stem: str, seen: bytes | None = None) -> None:
    as_json, as_csv = io.StringIO(), io.StringIO()
    show_json(rows, as_json)
    show_csv(rows, classes, segments, as_csv)
    with st.container(horizontal=True):
        st.download_button("JSON", as_json.getvalue(), f"{stem}.json", "application/json", on_click="ignore")
        st.download_button("CSV", as_csv.getvalue(), f"{stem}.csv", "text/csv", on_click="ignore")
        if seen is not None:
            st.download_button("What the model saw (PNG)", seen, f"{stem}.png", "image/png", on_click="ignore")


def _mime(name: str) -> str:
    suffix = Path(name).suffix.lower()
    return {".mp3": "audio/mpeg", ".flac": "audio/flac", ".ogg": "audio/ogg"}.get(suffix, "audio/wav")
