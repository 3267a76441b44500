"""The page that classifies: a song, a recording or a picture in; its genre, over time and with its evidence, out."""

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import soundfile
import streamlit as st

from genreclf.app import drawing, words
from genreclf.app.state import MAX_BYTES, MAX_SECONDS, analyzed, load_model, runs_folder
from genreclf.data.demo import STYLES, render
from genreclf.errors import GenreclfError
from genreclf.frontend.audio import SAMPLE_RATE_HZ
from genreclf.frontend.clip import CLIP_SUFFIXES
from genreclf.frontend.picture import PICTURE_SUFFIXES
from genreclf.inference.analysis import Analysis
from genreclf.inference.catalog import DEFAULT_MODEL, ModelEntry, list_models
from genreclf.inference.library import Result
from genreclf.inference.predictor import Prediction, Predictor
from genreclf.inference.results import Row, file_row, show_csv, show_json
from genreclf.inference.run_folder import MODEL_CONFIG

_DEMO_SECONDS = 15.0
_NONE = "none"


@dataclass(frozen=True)
class Sound:
    """An upload, by the name that people see."""

    name: str
    content: bytes

    @property
    def is_picture(self) -> bool:
        """By its suffix."""
        return Path(self.name).suffix.lower() in PICTURE_SUFFIXES


@dataclass(frozen=True)
class Chosen:
    """A model that the user chose, loaded."""

    label: str
    key: str  # in the cache of results
    predictor: Predictor


@dataclass(frozen=True)
class Settings:
    """What the user chose in the sidebar."""

    models: tuple[ModelEntry, ...]  # one, or two to compare
    tta: str
    picture_seconds: float


def page() -> None:
    """Shows the page."""
    st.title("What genre is this?")
    st.caption("Upload a song, record one, or try a demo. Your music stays in this computer's memory and is not kept.")
    models = list_models(runs_folder())
    if not models:
        st.error(
            "There is no trained model here. Train one with `genreclf train`, or set GENRECLF_RUNS to the folder that "
            "contains your runs; then reload this page."
        )
        return
    settings, sounds = _settings(models), _sounds()
    if not sounds:
        return
    try:
        chosen = [_load(entry, settings.tta) for entry in settings.models]
    except GenreclfError as error:
        st.error(f"This model cannot be loaded. {words.plain(str(error))}")
        return
    if len(sounds) > 1:
        _table(sounds, chosen[0], settings.picture_seconds)
        names = [sound.name for sound in sounds]
        place = st.selectbox("Details of", range(len(sounds)), format_func=lambda place: names[place])
        sounds = [sounds[place]]
    _one(sounds[0], chosen, settings.picture_seconds)


def _settings(models: list[ModelEntry]) -> Settings:
    by_label = {entry.label: entry for entry in models}
    labels = list(by_label)
    default = next((place for place, label in enumerate(labels) if label.startswith(f"{DEFAULT_MODEL} ")), 0)
    with st.sidebar:
        st.header("Model")
        first = by_label[st.selectbox("Model", labels, index=default, label_visibility="collapsed")]
        st.caption(_summary(first))
        others = [_NONE, *(label for label in labels if label != first.label)]
        second = by_label.get(st.selectbox("Compare with", others, help="A second model predicts the genre, too."))
        if second:
            st.caption(_summary(second))
        shifted = st.toggle(
            "Average over three pitches",
            help="The music as it is, a little lower and a little higher (test-time augmentation): three times slower.",
        )
        seconds = st.number_input("Seconds of music that a picture shows", 1.0, 3600.0, first.picture_seconds, step=1.0)
    chosen = (first, second) if second else (first,)
    return Settings(chosen, "pitch_shift" if shifted else "none", float(seconds))


def _summary(entry: ModelEntry) -> str:
    if entry.scores is None:
        return "Not evaluated yet."
    return f"Accuracy {entry.scores} on held-out clips; {entry.scores.parameters:,} parameters."


def _sounds() -> list[Sound]:
    uploads = st.file_uploader(
        f"Audio (up to {MAX_SECONDS // 60} minutes), or a picture of a spectrogram",
        [suffix.removeprefix(".") for suffix in CLIP_SUFFIXES],
        accept_multiple_files=True,
    )
    left, right = st.columns(2)
    recording = left.audio_input("Or record something", sample_rate=None)
    style = right.selectbox("Or try a demo", [_NONE, *STYLES])
    sounds = [Sound(upload.name, upload.getvalue()) for upload in uploads]
    if recording is not None and not sounds:
        sounds = [Sound("recording.wav", recording.getvalue())]
    if style != _NONE and not sounds:
        sounds = [Sound(f"{style} (demo).wav", _demo(style))]
    return sounds


@st.cache_data(max_entries=len(STYLES), show_spinner="Rendering the demo …")
def _demo(style: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, render(style, 0, 0, _DEMO_SECONDS), SAMPLE_RATE_HZ, format="WAV")
    return file.getvalue()


def _load(entry: ModelEntry, tta: str) -> Chosen:
    config = entry.folder / MODEL_CONFIG
    changed = config.stat().st_mtime if config.exists() else 0.0
    predictor = load_model(str(entry.folder), tta, changed)
    return Chosen(entry.label, predictor.digest, predictor)


def _analyze(sound: Sound, chosen: Chosen, picture_seconds: float, label: str) -> Analysis:
    """Raises GenreclfError, which calls the sound by its name."""
    if len(sound.content) > MAX_BYTES:
        raise GenreclfError(f"{sound.name}: larger than {MAX_BYTES // 1024**2} MiB; give a shorter or smaller file")
    digest = hashlib.sha256(sound.content).hexdigest()
    try:
        return analyzed(chosen.key, digest, picture_seconds, chosen.predictor, sound.content, label)
    except GenreclfError as error:
        raise GenreclfError(str(error).replace("upload", sound.name, 1)) from error


def _table(sounds: list[Sound], chosen: Chosen, picture_seconds: float) -> None:
    """A line per file; a file that cannot be read has its reason."""
    classes, rows = chosen.predictor.info.classes, []
    for place, sound in enumerate(sounds, 1):
        result: Result
        try:
            result = _analyze(sound, chosen, picture_seconds, f"File {place} of {len(sounds)}").prediction
        except GenreclfError as error:
            result = error
        rows.append(file_row(Path(sound.name), result, classes, segments=False))
    st.dataframe(
        [
            {
                "file": row["path"],
                "genre": row.get("genre", ""),
                "probability": row.get("probability"),
                "seconds": row.get("seconds"),
                "note": row["problem"] or row.get("note", ""),
            }
            for row in rows
        ],
        hide_index=True,
        column_config={
            "probability": st.column_config.NumberColumn(format="percent"),
            "seconds": st.column_config.NumberColumn(format="%.0f"),
        },
    )
    _downloads(rows, classes, False, "genres")


def _one(sound: Sound, chosen: list[Chosen], picture_seconds: float) -> None:
    try:
        analyses = [_analyze(sound, one, picture_seconds, "Classifying …") for one in chosen]
    except GenreclfError as error:
        st.error(words.plain(str(error)))
        return
    first = analyses[0]
    st.subheader(words.plain(sound.name), divider="gray")
    if not sound.is_picture:
        st.audio(sound.content, format=_mime(sound.name))
    if first.warning:
        st.warning(first.warning)
    if first.prediction.note:
        st.caption(f"Note: {words.plain(first.prediction.note)}.")
    classes = [one.predictor.info.classes for one in chosen]
    for column, one, analysis, genres in zip(st.columns(len(chosen)), chosen, analyses, classes, strict=True):
        with column:
            _result(analysis.prediction, genres, one.label if len(chosen) > 1 else "")
    if len(chosen) > 1:
        st.info(words.plain(words.agreement(first.prediction, analyses[1].prediction, *classes)))
    _over_time(analyses, [one.label.split(" (")[0] for one in chosen], classes)
    rows = [file_row(Path(sound.name), first.prediction, classes[0], segments=True)]
    _downloads(rows, classes[0], True, Path(sound.name).stem, first.spectrogram_png)


def _result(prediction: Prediction, classes: Sequence[str], label: str) -> None:
    if label:
        st.caption(words.plain(label))
    st.metric(
        "Genre",
        words.plain(prediction.genre),
        f"probability {prediction.probability:.0%}",
        delta_color="off",
        delta_arrow="off",
    )
    st.write(words.trust(prediction))
    st.html(drawing.bars(prediction, classes))
    st.caption(words.plain(words.also_likely(prediction, classes)))


def _over_time(analyses: list[Analysis], names: list[str], classes: list[tuple[str, ...]]) -> None:
    """The spectrogram, the genres of all models over time, and a closer look at one segment of the first model."""
    prediction = analyses[0].prediction
    spans = [words.span(segment) for segment in prediction.segments]
    best = [words.best(segment, classes[0]) for segment in prediction.segments]
    st.markdown("#### Over time")
    place = None
    if len(spans) > 1:
        place = st.select_slider("A closer look at one part", [None, *range(len(spans))], format_func=_part(spans))
    elif prediction.attention is not None:
        place = 0
    png = drawing.song(analyses, names, classes, place)
    genres = ", ".join(f"{span} {genre}" for span, (genre, _) in zip(spans, best, strict=True))
    st.html(drawing.image(png, f"Spectrogram over time and frequency, and the genre of each part: {genres}"))
    if place is not None and len(spans) > 1:
        genre, probability = best[place]
        st.write(words.plain(f"The part from {spans[place]} alone: {genre} ({probability:.0%})."))
    if place is not None and prediction.attention is not None:
        st.caption("The curve at the bottom shows which moments of this part influenced the result most.")


def _part(spans: list[str]) -> Callable[[int | None], str]:
    return lambda place: "the whole song" if place is None else spans[place]


def _downloads(
    rows: list[Row], classes: tuple[str, ...], segments: bool, stem: str, spectrogram: bytes | None = None
) -> None:
    as_json, as_csv = io.StringIO(), io.StringIO()
    show_json(rows, as_json)
    show_csv(rows, classes, segments, as_csv)
    with st.container(horizontal=True):
        st.download_button("JSON", as_json.getvalue(), f"{stem}.json", "application/json", on_click="ignore")
        st.download_button("CSV", as_csv.getvalue(), f"{stem}.csv", "text/csv", on_click="ignore")
        if spectrogram is not None:
            st.download_button("Spectrogram (PNG)", spectrogram, f"{stem}.png", "image/png", on_click="ignore")


def _mime(name: str) -> str:
    suffix = Path(name).suffix.lower()
    return {".mp3": "audio/mpeg", ".flac": "audio/flac", ".ogg": "audio/ogg"}.get(suffix, "audio/wav")
