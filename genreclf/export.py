"""Exports a model to files that run without this package: genreclf export RUN format=onnx."""

import sys
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any

from genreclf.config import check_choice
from genreclf.errors import GenreclfError
from genreclf.exporters.bundle import load_bundle
from genreclf.exporters.export import check_input, export_models
from genreclf.exporters.formats import FORMATS, INPUTS
from genreclf.files import user_path
from genreclf.hydra_command import run_command
from genreclf.inference.results import check_output_folder
from genreclf.inference.run_folder import EXPORTS, find_bundle, pretrained_names
from genreclf.text import one_line


def export(config: dict[str, Any], overrides: list[str]) -> None:
    """Writes a file for each `format` and `input`. Prints its path, size and difference from the bundle."""
    formats, inputs = _chosen(config, "format", FORMATS), _chosen(config, "input", INPUTS)
    for kind in inputs:
        check_input(formats, kind)  # before the first file is written
    model = str(config["run"])  # YAML reads run=2026 as a number
    bundle = load_bundle(find_bundle(model))
    folder = _default_folder(model) if config["out"] is None else user_path(str(config["out"]))
    check_output_folder("out=", folder)
    for kind in inputs:
        for path, difference in export_models(bundle, formats, kind, folder):
            differs = f"differs from the bundle by at most {difference:.1e}"
            print(one_line(f"{path}: {path.stat().st_size / 1e6:.1f} MB, {differs}"))


def _default_folder(model: str) -> Path:
    # Pretrained models are inside the installed package, which may be read-only.
    return Path(EXPORTS) / model if model in pretrained_names() else user_path(model) / EXPORTS


def _chosen(config: dict[str, Any], key: str, known: Collection[str]) -> list[str]:
    """Returns the value of `key`, which is one of `known` or a list of them, as a list."""
    words = [str(word) for word in (config[key] if isinstance(config[key], list) else [config[key]])]
    if not words:
        raise GenreclfError(f"{key}=[]: give at least one of {', '.join(known)}")
    for word in words:
        check_choice(key, word, known)
    return words


main = partial(run_command, "export", export)

if __name__ == "__main__":
    sys.exit(main())
