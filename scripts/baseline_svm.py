"""The bar that a net must pass: an SVM on each clip's mean and deviation per band, on the same clips and split.

python scripts/baseline_svm.py FOLDER published val
python scripts/baseline_svm.py FOLDER hashed test
"""

import os
import sys
from pathlib import Path

import numpy as np
import yaml
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from genreclf.config import build, config_folder
from genreclf.data.datamodule import SpectrogramDataModule
from genreclf.data.sources import DataConfig
from genreclf.data.split import SplitConfig
from genreclf.data.views import ViewConfig


def features(datamodule: SpectrogramDataModule, part: str) -> tuple[np.ndarray, list[str]]:
    store = datamodule.store
    levels = [store.spectrogram(clip).astype(np.float32) for clip in datamodule.clips[part]]
    rows = [np.concatenate([one.mean(1), one.std(1)]) for one in levels]  # (256,) each
    return np.stack(rows), [store.rows[clip].label for clip in datamodule.clips[part]]


def main(folder: str, split: str, part: str) -> None:
    cache = Path(os.environ.get("GENRECLF_CACHE", Path.home() / ".cache" / "genreclf"))
    groups = {
        name: yaml.safe_load((config_folder() / f"{name}.yaml").read_text()) for name in ("split/hashed", "view/whole")
    }
    datamodule = SpectrogramDataModule(
        DataConfig("folder", Path(folder), cache, 30.0, None, None, "single", "keep", 0, 0.0, 0),
        build(SplitConfig, {**groups["split/hashed"], "name": split}, "split"),
        build(ViewConfig, groups["view/whole"], "view"),
        None,
        16,
        0,
        0,
    )
    datamodule.setup()
    train_rows, train_labels = features(datamodule, "train")
    rows, labels = features(datamodule, part)
    for penalty in (1, 3, 10):
        svm = make_pipeline(StandardScaler(), SVC(C=penalty)).fit(train_rows, train_labels)
        print(f"SVM, C={penalty}: {svm.score(rows, labels):.1%} of {len(labels)} {part} clips")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
