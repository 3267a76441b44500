"""The file names in a run folder and in a bundle, and the search for trained models. Only this module defines them.

RUN/  config.yaml  record.json  audit.json  metrics.csv  curves.png  last.ckpt  best.ckpt
      bundle/  exports/  evaluation/{test,val}/
bundle/  model.safetensors  model.onnx  config.json  README.md  scores.json
"""

from pathlib import Path

from genreclf.errors import GenreclfError
from genreclf.files import user_path
from genreclf.text import shell_command

# In a run folder
CONFIG_YAML = "config.yaml"  # the composed configuration
RECORD = "record.json"  # overrides, versions, git commit, digests of data and split
AUDIT = "audit.json"  # the summary of the data audit
METRICS_CSV = "metrics.csv"  # a row per epoch
CURVES = "curves.png"
LAST_CHECKPOINT = "last.ckpt"
BEST_CHECKPOINT = "best.ckpt"
LOCK = ".lock"  # held while the run trains
BUNDLE = "bundle"
EXPORTS = "exports"
EVALUATION = "evaluation"

# In RUN/evaluation/SPLIT
REPORT = "report.html"
METRICS = "metrics.json"
PREDICTIONS = "predictions.parquet"

# Written by compare
COMPARISON_JSON, COMPARISON_MD, COMPARISON_PNG = "comparison.json", "comparison.md", "comparison.png"

# In a bundle
WEIGHTS = "model.safetensors"  # for training, evaluation and export
MODEL_ONNX = "model.onnx"  # for prediction
MODEL_CONFIG = "config.json"  # ModelInfo, and the net's configuration
CARD = "README.md"  # the model card
SCORES_JSON = "scores.json"  # the card's main scores, for programs

# The pretrained bundles that the package contains, by name
PRETRAINED = Path(__file__).resolve().parents[1] / "pretrained"
DEFAULT_MODEL = "a"  # faster than b, robust to sample rates, and calibrated on sources left out of its training


def find_bundle(model: str | Path, key: str = "") -> Path:
    """Returns the bundle folder of `model`: a pretrained model's name, a run folder, or a bundle folder.

    A pretrained name always means the pretrained model, even if the working folder contains a folder of that name:
    write ./a for the folder. Raises GenreclfError if there is no bundle; `key`, such as "init=", precedes the model in
    the message.
    """
    if str(model) in pretrained_names():
        return PRETRAINED / str(model)
    folder = user_path(model)
    for candidate in (folder / BUNDLE, folder):
        if (candidate / MODEL_CONFIG).is_file():
            return candidate
    names = " or ".join(pretrained_names())
    if (folder / CONFIG_YAML).is_file():
        raise GenreclfError(
            f"{key}{model}: this run has no bundle: its training did not finish; resume it with "
            f"{shell_command('genreclf', 'train', f'run={model}', 'ckpt=last')}, or use a pretrained model: {names}"
        )
    raise GenreclfError(f"{key}{model}: not a run folder, a bundle folder or a pretrained model ({names})")


def absolute_model(model: str) -> str:
    """Returns a pretrained model's name or a path that means the same in any working folder."""
    return model if model in pretrained_names() else str(user_path(model).resolve())


def pretrained_names() -> tuple[str, ...]:
    """Returns the names of the pretrained models in the package."""
    return tuple(sorted(config.parent.name for config in PRETRAINED.glob(f"*/{MODEL_CONFIG}")))
