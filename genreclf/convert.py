"""A checkpoint of a training, finished or not -> a bundle: python -m genreclf.convert RUN/last.ckpt."""

import argparse
import json
import pickle
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from genreclf.config import build
from genreclf.errors import GenreclfError, escape_unencodable, user_error
from genreclf.frontend.segments import ViewConfig
from genreclf.nets.bundle import Bundle, save_bundle
from genreclf.nets.classifier import GenreClassifier
from genreclf.nets.config import ModelConfig


def convert(arguments: Sequence[str] | None = None) -> int:
    """The command; returns 0, or 2 for a mistake in the call."""
    options = _parser().parse_args(arguments)
    escape_unencodable()
    out = options.out or options.checkpoint.with_suffix("")
    try:
        save_bundle(out, bundle_of(options.checkpoint, options.temperature))
    except GenreclfError as error:
        return user_error(error)
    except OSError as error:
        return user_error(f"--out {out}: cannot be written ({error.strerror}); choose another folder")
    print(f"bundle: {out}\nnext: python -m genreclf.predict FILE... --run {out}")
    return 0


def bundle_of(checkpoint: Path, temperature: float) -> Bundle:
    """The net of a checkpoint that lies in its run folder, whose config.yaml and record.json say the rest.

    Nothing is unpickled but tensors and plain data. Raises GenreclfError for another file, and where those are missing.
    """
    saved = _read(checkpoint)
    try:
        config = yaml.safe_load((checkpoint.parent / "config.yaml").read_text())
        record = json.loads((checkpoint.parent / "record.json").read_text())
        hparams, state = saved["hyper_parameters"], saved["state_dict"]
        name, seconds = config["model"]["name"], config["data"]["picture_seconds"]
        view, resolution = config["view"], record["data"]["frames_per_column"]
        net = GenreClassifier(build(ModelConfig, hparams["net"], "net"))
        net.load_state_dict({key[4:]: value for key, value in state.items() if key.startswith("net.")})
    except OSError as error:
        raise GenreclfError(f"{checkpoint}: {error.filename} is missing; leave it in its run folder") from error
    except (ValueError, KeyError, TypeError, RuntimeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:200]
        raise GenreclfError(f"{checkpoint}: is no checkpoint of this genreclf's training ({reason})") from error
    view = build(ViewConfig, view, "view")
    return Bundle(net.eval(), name, tuple(hparams["classes"]), view, float(seconds), float(resolution), temperature)


def _read(checkpoint: Path) -> dict[str, Any]:
    try:
        saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except OSError as error:
        raise GenreclfError(f"{checkpoint}: cannot be read ({error.strerror}); give RUN/last.ckpt") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise GenreclfError(f"{checkpoint}: is no checkpoint of weights alone; give RUN/last.ckpt") from error
    if not isinstance(saved, dict) or not {"hyper_parameters", "state_dict"} <= saved.keys():
        raise GenreclfError(f"{checkpoint}: holds no Lightning checkpoint; give RUN/last.ckpt")
    return saved


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m genreclf.convert",
        description="Makes a bundle of a checkpoint, such as that of a training which was broken off. "
        "A training that ends writes its bundle by itself.",
        epilog="Exit code: 0, or 2 for a mistake in the call.",
    )
    parser.add_argument("checkpoint", type=Path, metavar="RUN/last.ckpt", help="a checkpoint in its run folder")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where to write (default RUN/last)")
    parser.add_argument(
        "--temperature", type=_temperature, default=1.0, help="for calibrated probabilities (default 1: as they are)"
    )
    return parser


def _temperature(word: str) -> float:
    number = float(word)
    if not 0 < number < 1_000:
        raise argparse.ArgumentTypeError("give a number above 0, below 1000")
    return number


if __name__ == "__main__":
    sys.exit(convert())
