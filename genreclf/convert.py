"""Makes a bundle of a training checkpoint: genreclf convert RUN/last.ckpt."""

import argparse
import json
import pickle
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from genreclf.command_options import Parser
from genreclf.config import build
from genreclf.errors import GenreclfError, command
from genreclf.exporters.bundle import Bundle, save_bundle
from genreclf.inference.model_info import ModelInfo
from genreclf.inference.run_folder import CONFIG_YAML, RECORD
from genreclf.nets.classifier import GenreClassifier
from genreclf.nets.config import ModelConfig


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns 0, or 2 for a wrong call."""
    options = _parser().parse_args(arguments)
    bundle = read_checkpoint(options.checkpoint, options.temperature)
    out = options.out or options.checkpoint.with_suffix("")
    try:
        out.mkdir(parents=True, exist_ok=True)  # fails before the translation to ONNX, which takes seconds
        save_bundle(out, bundle)
    except OSError as error:
        raise GenreclfError(f"--out {out}: cannot be written ({error.strerror}); choose another folder") from error
    print(f"bundle: {out}\nnext: genreclf predict FILE... --model {out}")
    return 0


def read_checkpoint(path: Path, temperature: float) -> Bundle:
    """The net of a checkpoint in its run folder, described by the folder's config.yaml and record.json.

    Only tensors and plain data are unpickled. Raises GenreclfError for another file, and where those are missing.
    """
    saved = _load_checkpoint(path)
    try:
        config = yaml.safe_load((path.parent / CONFIG_YAML).read_text())
        record = json.loads((path.parent / RECORD).read_text())
        info = ModelInfo.from_dict(
            {
                "name": config["model"]["name"],
                "classes": saved["hyper_parameters"]["classes"],
                "view": config["view"],
                "picture_seconds": config["data"]["picture_seconds"],
                "frames_per_column": record["data"]["frames_per_column"],
                "temperature": temperature,
            }
        )
        net = GenreClassifier(build(ModelConfig, saved["hyper_parameters"]["net"], "net"))
        state = saved["state_dict"].items()
        net.load_state_dict({key.removeprefix("net."): value for key, value in state if key.startswith("net.")})
    except OSError as error:
        raise GenreclfError(f"{path}: {error.filename} is missing; keep a checkpoint in its run folder") from error
    except (GenreclfError, ValueError, KeyError, TypeError, RuntimeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:200]
        raise GenreclfError(f"{path}: not a checkpoint of genreclf train ({reason}); give RUN/last.ckpt") from error
    return Bundle(net.eval(), info)


def _load_checkpoint(path: Path) -> dict[str, Any]:
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise GenreclfError(f"{path}: cannot be read ({error.strerror}); give RUN/last.ckpt") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise GenreclfError(f"{path}: not a checkpoint, or one that contains code; give RUN/last.ckpt") from error
    if not isinstance(saved, dict) or not {"hyper_parameters", "state_dict"} <= saved.keys():
        raise GenreclfError(f"{path}: not a Lightning checkpoint; give RUN/last.ckpt")
    return saved


def _parser() -> Parser:
    parser = Parser(
        prog="genreclf convert",
        description="Makes a bundle of a checkpoint, for example of an interrupted training. A training that finishes "
        "writes its bundle itself.",
        epilog="Exit code: 0, or 2 for a wrong call.",
    )
    parser.add_argument("checkpoint", type=Path, metavar="RUN/last.ckpt", help="a checkpoint in its run folder")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="the folder of the bundle (default RUN/last)")
    parser.add_argument(
        "--temperature", type=_temperature, default=1.0, help="for calibrated probabilities (default 1)"
    )
    return parser


def _temperature(word: str) -> float:
    number = float(word)
    if not 0 < number < 1_000:
        raise argparse.ArgumentTypeError("give a number above 0 and below 1000")
    return number


if __name__ == "__main__":
    sys.exit(main())
