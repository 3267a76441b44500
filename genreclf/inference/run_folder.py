"""Where bundles lie: in runs, in folders of their own, and in the package."""

from pathlib import Path

from genreclf.errors import GenreclfError

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
ONNX = "picture.onnx"  # the same model for onnxruntime, in the bundle's folder or where export puts it
PRETRAINED = Path(__file__).resolve().parents[1] / "pretrained"  # the bundles that come along, by name


def find_bundle(run: Path) -> Path:
    """The bundle of a run folder, the folder itself if it is one, or one of `pretrained_names` by its name.

    Raises GenreclfError where there is none.
    """
    for folder in (run, run / "bundle", *([PRETRAINED / run] if str(run) in pretrained_names() else [])):
        if (folder / CONFIG).is_file():
            return folder
    what = "has no bundle yet: its training did not end" if (run / "config.yaml").is_file() else "is no run folder"
    names = "".join(f", or {name}, which comes along" for name in pretrained_names())
    raise GenreclfError(f"run={run}: {what}; give a folder that python -m genreclf.train has finished{names}")


def translations(bundle: Path) -> list[Path]:
    """The files for onnxruntime that may be this bundle's, which `OnnxModel.matches_bundle` tells."""
    return [file for file in (bundle / ONNX, bundle.parent / "exports" / ONNX) if file.is_file()]


def pretrained_names() -> tuple[str, ...]:
    """The names of the trained models that come with the package."""
    return tuple(sorted(config.parent.name for config in PRETRAINED.glob(f"*/{CONFIG}")))
