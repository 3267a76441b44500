"""Measures how often a model predicts the same genre for a clip's audio and for the picture on which it was evaluated.

genreclf evaluate RUN
python scripts/agreement.py AUDIO_FOLDER RUN...

With several runs, such as folds, each predicts the test clips of its split.
"""

import sys
from pathlib import Path

from genreclf.evaluation.predictions import read_predictions
from genreclf.frontend.audio import AUDIO_SUFFIXES
from genreclf.inference.predictor import Predictor, load_predictor
from genreclf.inference.run_folder import EVALUATION, PREDICTIONS
from genreclf.progress import progress_bar

TestClip = tuple[
    Predictor, Path, str, str
]  # the model, the audio, the true genre, the genre predicted from the picture


def test_clips(run: Path, audio: dict[str, Path]) -> list[TestClip]:
    """Returns the test clips of an evaluated run that have audio."""
    predictions = read_predictions(run / EVALUATION / "test" / PREDICTIONS, "none")
    if predictions is None:
        sys.exit(f"{run}: no predictions without TTA; run: genreclf evaluate {run}")
    predictor = load_predictor(run, device="cpu")
    rows = zip(predictions.paths, predictions.target, predictions.probabilities.argmax(1), strict=True)
    named = [(Path(path).stem, predictions.classes[true], predictions.classes[best]) for path, true, best in rows]
    return [(predictor, audio[stem], true, best) for stem, true, best in named if stem in audio]


def main(folder: Path, runs: list[Path]) -> None:
    """Prints how many pairs of predictions agree, and how many predictions are correct."""
    audio = {path.stem: path for path in sorted(folder.rglob("*")) if path.suffix in AUDIO_SUFFIXES}
    clips = [clip for run in runs for clip in test_clips(run, audio)]
    if not clips:
        sys.exit(f"{folder}: holds no audio of the clips on which these runs were tested")
    same = correct_audio = correct_picture = 0
    with progress_bar("predicting", "clips") as report:
        for done, (predictor, path, true, from_picture) in enumerate(clips, 1):
            from_audio = predictor.predict_file(path).genre
            same += from_audio == from_picture
            correct_audio += from_audio == true
            correct_picture += from_picture == true
            report(done, len(clips))
    print(f"{len(clips)} clips: {same} agree; correct as audio {correct_audio}, as picture {correct_picture}")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), [Path(word) for word in sys.argv[2:]])
