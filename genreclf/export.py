"""A finished run as TorchScript files: python -m genreclf.export run=RUN."""

from pathlib import Path
from typing import Any

from genreclf.commands import run_command
from genreclf.errors import GenreclfError
from genreclf.serving.bundle import find_bundle, load_bundle
from genreclf.serving.exporting import INPUTS, export_torchscript


def export(config: dict[str, Any], overrides: list[str]) -> None:
    """Writes a TorchScript file for each of `inputs` and prints its path, size and difference from the run."""
    inputs = config["inputs"] if isinstance(config["inputs"], list) else [config["inputs"]]
    unknown = [kind for kind in inputs if kind not in INPUTS]
    if unknown or not inputs:
        raise GenreclfError(f"inputs={config['inputs']}: give {' or '.join(INPUTS)}, or [{','.join(INPUTS)}]")
    run = Path(str(config["run"])).expanduser()  # YAML takes run=2026 for a number
    bundle = load_bundle(find_bundle(run))
    # A model that comes along has no run folder to write to.
    place = run / "exports" if run.is_dir() else Path("exports") / run
    folder = Path(str(config["out"])).expanduser() if config["out"] is not None else place
    for kind in inputs:
        path = folder / f"{kind}.pt"
        difference = export_torchscript(bundle, kind, path)
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, differs from the run by {difference:.1e} at most")


def main() -> None:
    """The command line."""
    run_command("export", export)


if __name__ == "__main__":
    main()
