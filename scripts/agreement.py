"""How often a run gives a clip the same genre as audio and as the picture that it was evaluated on.

python -m genreclf.evaluate run=RUN clips=val
python scripts/agreement.py RUN AUDIO_FOLDER
"""

import sys
from pathlib import Path

from genreclf.data.audio import AUDIO_SUFFIXES
from genreclf.evaluation.predictions import FILE, read_predictions
from genreclf.progress import progress_bar
from genreclf.serving.bundle import find_bundle, load_bundle
from genreclf.serving.predictor import Predictor


def main(run: Path, folder: Path) -> None:
    answers = read_predictions(run / "evaluation" / "val" / FILE, "none")
    shown = zip(answers.paths, answers.target, answers.probabilities.argmax(1), strict=True)
    seen = {Path(path).stem: (answers.classes[true], answers.classes[answer]) for path, true, answer in shown}
    files = sorted(path for path in folder.rglob("*") if path.suffix in AUDIO_SUFFIXES and path.stem in seen)
    if not files:
        sys.exit(f"{folder}: holds no audio of the clips in {run}/evaluation/val")
    predictor = Predictor(load_bundle(find_bundle(run)), "none", "cpu")
    same = right_heard = right_seen = 0
    with progress_bar("listening", "clips") as report:
        for done, path in enumerate(files, 1):
            (true, answer), heard = seen[path.stem], predictor.predict_file(path).genre
            same += heard == answer
            right_heard += heard == true
            right_seen += answer == true
            report(done, len(files))
    print(f"{len(files)} clips: {same} answered alike; right as audio {right_heard}, as picture {right_seen}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
