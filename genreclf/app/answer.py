"""The result for one song: its genre and how far to trust it, the player, and the downloads."""

import streamlit as st

from genreclf.app import corrections, drawing, exports, words
from genreclf.app.colours import colours
from genreclf.app.components import announce
from genreclf.app.player import player
from genreclf.app.results import Classifier, Model, song_row
from genreclf.app.visits import Song, Visit
from genreclf.errors import GenreclfError
from genreclf.inference.analysis import Analysis
from genreclf.inference.task import MULTICLASS
from genreclf.page import escaped

_SYNTHETIC = "This is a synthetic sound, made by this program: the figures for music do not apply to it."

_STRIP = (
    "Below the spectrogram is the most probable genre of each part: the taller its bar, the more probable. Attention "
    "shows how much each moment counted."
)


def answer(visit: Visit, classifier: Classifier) -> None:
    """Shows the result for the first readable song in `visit.wanted`, or why the first song cannot be read."""
    wanted = [visit.songs[song] for song in visit.wanted if song in visit.songs]
    songs = wanted or list(visit.songs.values())[-1:]
    reasons = []
    for song in songs:
        try:
            analyses = classifier.analyze(visit, song, words.plain(f"Classifying {song.name} …"))
        except GenreclfError as error:
            reasons.append(str(error))
        else:
            visit.wanted = [song.id]
            _answer(visit, song, classifier, analyses)
            return
    visit.wanted = [songs[0].id]
    st.error(words.plain(reasons[0]))
    announce(reasons[0])


def _answer(visit: Visit, song: Song, classifier: Classifier, analyses: list[Analysis]) -> None:
    st.header(words.plain(song.name), anchor=False)
    for column, model, analysis in zip(st.columns(len(analyses)), classifier.models, analyses, strict=True):
        with column:
            _genre(song, model, analysis, len(analyses) > 1)
    announce(_spoken(song, classifier, analyses))
    prediction, is_picture = analyses[0].prediction, not analyses[0].clip.source_rate_hz
    if is_picture and not prediction.probabilities:  # no spectrogram, so that no axes fit
        return
    one_genre = all(analysis.prediction.task == MULTICLASS for analysis in analyses)
    if len(analyses) > 1 and prediction.probabilities and one_genre:
        st.info(words.plain(words.agreement(prediction, analyses[1].prediction, *classifier.classes)))
    if prediction.probabilities and one_genre:  # a correction is one genre
        corrections.control(visit, song, classifier)
    if prediction.note:
        st.caption(f"Note: {words.plain(prediction.note)}.")
    _details(song, classifier, analyses, is_picture)
    rows = [
        song_row(song, analysis.prediction, model.classes, segments=True)
        for model, analysis in zip(classifier.models, analyses, strict=True)
    ]
    png = analyses[0].spectrogram_png
    exports.downloads("song", song.name, classifier, [rows], png)


def _genre(song: Song, model: Model, analysis: Analysis, several: bool) -> None:
    """Shows the genre, or why there is none."""
    prediction = analysis.prediction
    if several:
        st.caption(words.plain(model.label))
    if not prediction.genre:
        st.warning(words.plain(words.no_genre(prediction, model.classes)))
        return
    label = "probability " if prediction.task == MULTICLASS else ""
    st.html(
        "".join(
            f'<p class="answer"><span class="genre">{escaped(name)}</span> '
            f'<span class="probability">{label}{words.percent(probability)}</span></p>'
            for name, probability in words.predicted_genres(prediction, model.classes)
        )
    )
    trust = _SYNTHETIC if song.synthetic else words.trust(prediction, model.entry.scores, model.averaged)
    st.write(words.plain(trust))


def _spoken(song: Song, classifier: Classifier, analyses: list[Analysis]) -> str:
    """Returns the result in one sentence, for a screen reader."""
    answers = []
    for model, analysis in zip(classifier.models, analyses, strict=True):
        says = words.prediction_sentence(analysis.prediction, model.classes)
        answers.append(f"{model.label}: {says}" if len(analyses) > 1 else says)
    return f"{song.name}: {'; '.join(answers)}"


def _details(song: Song, classifier: Classifier, analyses: list[Analysis], is_picture: bool) -> None:
    """Shows the song over time and the probability of every genre."""
    names = [model.label.split(" (")[0] for model in classifier.models]
    digests = [model.predictor.digest for model in classifier.models]
    key = " ".join(["player", song.id, str(classifier.picture_seconds), *digests])
    has_genres = bool(analyses[0].prediction.probabilities)
    st.subheader("Over time" if has_genres else "What was read", anchor=False)
    player(analyses, names, classifier.classes, None if is_picture else song.content, key)
    if not has_genres:
        return
    st.caption(_STRIP)
    colour = colours(*classifier.classes)
    st.subheader("All genres", anchor=False)
    for column, model, analysis in zip(st.columns(len(analyses)), classifier.models, analyses, strict=True):
        with column:
            if len(analyses) > 1:
                st.caption(words.plain(model.label))
            st.html(drawing.bars(analysis.prediction, model.classes, colour, model.predictor.info.thresholds))
