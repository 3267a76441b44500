"""How often runs give a clip the same genre as audio and as the picture that they were evaluated on.

python -m genreclf.evaluate run=RUN
python scripts/agreement.py AUDIO_FOLDER RUN...

Of several runs, as of folds, each answers the test clips that it left out.
"""

import sys
from pathlib import Path

from genreclf.evaluation.predictions import read_predictions
from genreclf.frontend.audio import AUDIO_SUFFIXES
from genreclf.inference.run_folder import PREDICTIONS, find_bundle
from genreclf.nets.bundle import load_bundle
from genreclf.nets.torch_model import torch_predictor
from genreclf.progress import progress_bar


def main(folder: Path, runs: list[Path]) -> None:
    """Prints how many clips were answered alike, and how many rightly either way."""
    audio = {path.stem: path for path in sorted(folder.rglob("*")) if path.suffix in AUDIO_SUFFIXES}
    held_out = []
    for run in runs:
        answers = read_predictions(run / "evaluation" / "test" / PREDICTIONS, "none")
        shown = zip(answers.paths, answers.target, answers.probabilities.argmax(1), strict=True)
        predictor = torch_predictor(load_bundle(find_bundle(run)), "none", "cpu")
        named = [(Path(path).stem, answers.classes[true], answers.classes[answer]) for path, true, answer in shown]
        held_out += [(predictor, audio[stem], *genres) for stem, *genres in named if stem in audio]
    if not held_out:
        sys.exit(f"{folder}: holds no audio of the clips that these runs were tested on")
    same = right_heard = right_seen = 0
    with progress_bar("listening", "clips") as report:
        for done, (predictor, path, true, answer) in enumerate(held_out, 1):
            heard = predictor.predict_file(path).genre
            same += heard == answer
            right_heard += heard == true
            right_seen += answer == true
            report(done, len(held_out))
    print(f"{len(held_out)} clips: {same} answered alike; right as audio {right_heard}, as picture {right_seen}")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), [Path(word) for word in sys.argv[2:]])
