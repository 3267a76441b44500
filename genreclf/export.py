"""A finished run as files that answer without this package: python -m genreclf.export run=RUN format=onnx."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from genreclf.errors import GenreclfError
from genreclf.exporters.export import export_models
from genreclf.exporters.formats import FORMATS, INPUTS
from genreclf.hydra_command import run_command
from genreclf.inference.run_folder import find_bundle
from genreclf.nets.bundle import load_bundle


def export(config: dict[str, Any], overrides: list[str]) -> None:
    """Writes a file for each `format` and `input` and prints its path, size and difference from the run."""
    formats, inputs = _chosen(config, "format", FORMATS), _chosen(config, "input", INPUTS)
    run = Path(str(config["run"])).expanduser()  # YAML takes run=2026 for a number
    bundle = load_bundle(find_bundle(run))
    # A model that comes along has no run folder to write to.
    place = run / "exports" if run.is_dir() else Path("exports") / run
    folder = Path(str(config["out"])).expanduser() if config["out"] is not None else place
    for kind in inputs:
        for path, difference in export_models(bundle, formats, kind, folder):
            print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, differs from the run by {difference:.1e} at most")


def _chosen(config: dict[str, Any], key: str, known: Collection[str]) -> list[str]:
    words = config[key] if isinstance(config[key], list) else [config[key]]
    if not words or any(word not in known for word in words):
        raise GenreclfError(f"{key}={config[key]}: give {' or '.join(known)}, or several: [{','.join(known)}]")
    return words


def main() -> None:
    """The command line."""
    run_command("export", export)


if __name__ == "__main__":
    main()
