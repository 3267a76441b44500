"""The page that classifies: a song, a recording or a picture in; its genre, over time and with its evidence, out."""

import hashlib
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

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
from genreclf.text import one_line

_DEMO_SECONDS = 15.0
_LEAST_SECONDS = 0.1  # of a picture
_NONE = "none"
_MIME = {".mp3": "audio/mpeg", ".flac": "audio/flac", ".ogg": "audio/ogg"}  # others are played as WAV


class Sound(NamedTuple):
    """An upload, recording or demo."""

    name: str
    content: bytes


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
    (chosen, tta, picture_seconds), sounds = _settings(models), _sounds()
    try:  # before there is a sound, so that its user does not wait for the model
        predictors = {entry.label: _load(entry, tta) for entry in chosen}
    except GenreclfError as error:
        st.error(f"This model cannot be loaded. {words.plain(str(error))}")
        return
    if not sounds:
        return
    if len(sounds) > 1:
        _table(sounds, predictors[chosen[0].label], picture_seconds)
        place = st.selectbox("Details of", range(len(sounds)), format_func=lambda place: one_line(sounds[place].name))
        sounds = [sounds[place]]
    _one(sounds[0], predictors, picture_seconds)


def _settings(models: list[ModelEntry]) -> tuple[list[ModelEntry], str, float]:
    """The sidebar: one model, or two to compare; the TTA; the seconds that a picture shows."""
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
        shown = first.picture_seconds  # a model may have been trained on pictures of any length
        least, most = min(_LEAST_SECONDS, shown), max(float(MAX_SECONDS), shown)
        seconds = st.number_input("Seconds of music that a picture shows", least, most, shown, step=1.0)
    return [first, second] if second else [first], "pitch_shift" if shifted else "none", float(seconds)


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


def _load(entry: ModelEntry, tta: str) -> Predictor:
    config = entry.folder / MODEL_CONFIG
    return load_model(os.fsencode(entry.folder), tta, config.stat().st_mtime if config.exists() else 0.0)


def _analyze(sound: Sound, predictor: Predictor, picture_seconds: float, label: str) -> Analysis:
    """Raises GenreclfError, which calls the sound by its name."""
    if len(sound.content) > MAX_BYTES:
        raise GenreclfError(f"{sound.name}: larger than {MAX_BYTES // 1024**2} MiB; give a shorter or smaller file")
    digest = hashlib.sha256(sound.content).hexdigest()
    try:
        return analyzed(predictor.digest, digest, picture_seconds, predictor, sound.content, label)
    except GenreclfError as error:
        raise GenreclfError(str(error).replace("upload", sound.name, 1)) from error


def _table(sounds: list[Sound], predictor: Predictor, picture_seconds: float) -> None:
    """A line per file; a file that cannot be read has its reason."""
    classes, rows = predictor.info.classes, []
    for place, sound in enumerate(sounds, 1):
        result: Result
        try:
            result = _analyze(sound, predictor, picture_seconds, f"File {place} of {len(sounds)}").prediction
        except GenreclfError as error:
            result = error
        rows.append(file_row(Path(sound.name), result, classes, segments=False))
    st.dataframe(
        [
            {
                "file": one_line(row["path"]),
                "genre": one_line(row.get("genre") or ""),
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


def _one(sound: Sound, predictors: dict[str, Predictor], picture_seconds: float) -> None:
    try:
        analyses = [_analyze(sound, one, picture_seconds, "Classifying …") for one in predictors.values()]
    except GenreclfError as error:
        st.error(words.plain(str(error)))
        return
    first = analyses[0]
    st.subheader(words.plain(sound.name), divider="gray")
    suffix = Path(sound.name).suffix.lower()
    if suffix not in PICTURE_SUFFIXES:
        st.audio(sound.content, format=_MIME.get(suffix, "audio/wav"))
    if first.warning:
        st.warning(first.warning)
    if first.prediction.note:
        st.caption(f"Note: {words.plain(first.prediction.note)}.")
    classes = [predictor.info.classes for predictor in predictors.values()]
    if not first.prediction.probabilities:  # no music: no model can say more
        st.warning(words.plain(f"No genre: {first.prediction.no_genre}."))
    else:
        _genres(analyses, list(predictors), classes)
    row = file_row(Path(sound.name), first.prediction, classes[0], segments=True)
    _downloads([row], classes[0], True, Path(sound.name).stem, first.spectrogram_png)


def _genres(analyses: list[Analysis], labels: list[str], classes: list[tuple[str, ...]]) -> None:
    """The answer of each model, whether they agree, and the genres over time."""
    several = len(analyses) > 1
    for column, label, analysis, genres in zip(st.columns(len(classes)), labels, analyses, classes, strict=True):
        with column:
            if several:
                st.caption(words.plain(label))
            _result(analysis.prediction, genres)
    if several:
        st.info(words.plain(words.agreement(analyses[0].prediction, analyses[1].prediction, *classes)))
    _over_time(analyses, [label.split(" (")[0] for label in labels], classes)


def _result(prediction: Prediction, classes: Sequence[str]) -> None:
    if prediction.no_genre:
        st.warning(words.plain(f"No genre: {prediction.no_genre}."))
    else:
        probability = f"probability {prediction.probability:.0%}"
        st.metric("Genre", words.plain(prediction.genre), probability, delta_color="off", delta_arrow="off")
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
        place = st.select_slider(
            "A closer look at one part",
            [None, *range(len(spans))],
            format_func=lambda place: "the whole song" if place is None else spans[place],
        )
    elif prediction.attention is not None:
        place = 0
    genres = ", ".join(f"{span} {genre}" for span, (genre, _) in zip(spans, best, strict=True))
    description = f"Spectrogram over time and frequency, and the genre of each part: {genres}"
    st.html(drawing.song(analyses, names, classes, description))
    if place is not None and prediction.attention is not None:
        st.html(drawing.attention(analyses[0], prediction.segments[place]))
        st.caption("The curve shows which moments of this part influenced the result most.")
    if place is not None and len(spans) > 1:
        genre, probability = best[place]
        st.write(words.plain(f"The part from {spans[place]} alone: {genre} ({probability:.0%})."))


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
