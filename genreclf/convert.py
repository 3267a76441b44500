"""Makes a bundle of a training checkpoint or of a bundle of the previous format: genreclf convert RUN/last.ckpt."""

import argparse
import hashlib
import json
import pickle
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import yaml

from genreclf.command_options import Parser
from genreclf.config import build
from genreclf.errors import GenreclfError, escape_unencodable, user_error
from genreclf.exporters.bundle import Bundle, load_bundle, save_bundle
from genreclf.inference.model_info import FORMAT, ModelInfo, read_json_object
from genreclf.inference.run_folder import CARD, CONFIG_YAML, MODEL_CONFIG, RECORD, WEIGHTS, find_bundle
from genreclf.nets.classifier import GenreClassifier
from genreclf.nets.config import ModelConfig

OLD_FORMAT = 6


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns 0, or 2 for a wrong call."""
    escape_unencodable()
    out = None
    try:
        options = _parser().parse_args(arguments)
        source, out = options.source, options.out
        if Path(source).is_dir():
            if out is None:
                raise GenreclfError(f"{source}: a bundle is converted into another folder; give --out FOLDER")
            bundle = read_old_bundle(find_bundle(source))
        else:
            bundle, out = read_checkpoint(Path(source)), out or Path(source).with_suffix("")
        if options.temperature is not None:
            bundle = replace(bundle, info=replace(bundle.info, temperature=options.temperature))
        out.mkdir(parents=True, exist_ok=True)  # fails before the translation to ONNX, which takes seconds
        save_bundle(out, bundle)
        if Path(source).is_dir() and (card := find_bundle(source) / CARD).is_file():
            (out / CARD).write_bytes(card.read_bytes())
    except GenreclfError as error:
        return user_error(error)
    except OSError as error:
        return user_error(f"--out {out}: cannot be written ({error.strerror}); choose another folder")
    print(f"bundle: {out}\nnext: genreclf predict FILE... --model {out}")
    return 0


def read_checkpoint(path: Path) -> Bundle:
    """The net of a checkpoint in its run folder, described by the folder's config.yaml and record.json; temperature 1.

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
                "temperature": 1.0,
            }
        )
        net = GenreClassifier(build(ModelConfig, saved["hyper_parameters"]["net"], "net"))
        state = saved["state_dict"].items()
        net.load_state_dict({key.removeprefix("net."): value for key, value in state if key.startswith("net.")})
    except OSError as error:
        raise GenreclfError(f"{path}: {error.filename} is missing; keep a checkpoint in its run folder") from error
    except (GenreclfError, ValueError, KeyError, TypeError, RuntimeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:200]
        raise GenreclfError(
            f"{path}: not a checkpoint of this genreclf's training ({reason}); give RUN/last.ckpt"
        ) from error
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


def read_old_bundle(folder: Path) -> Bundle:
    """A bundle of format 6, with the keys of today. Raises GenreclfError for other formats and damaged files."""
    path = folder / MODEL_CONFIG
    values = read_json_object(path)
    if values.get("format") != OLD_FORMAT or values.get("kind") == "committee":
        found = f"format {values.get('format')!r}, kind {values.get('kind')!r}"
        raise GenreclfError(f"{path}: {found}; give a bundle of format {OLD_FORMAT} that is not a committee")
    net, view = dict(values.get("net") or {}), dict(values.get("view") or {})
    if "own_scale" in net:
        net["standardize"] = net.pop("own_scale")
    if view.get("name") == "excerpt":
        view["name"] = "downsampled"
    with tempfile.TemporaryDirectory() as name:
        temporary = Path(name)
        try:
            digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
            shutil.copyfile(folder / WEIGHTS, temporary / WEIGHTS)
            config = {**values, "format": FORMAT, "net": net, "view": view, "weights_sha256": digest}
            (temporary / MODEL_CONFIG).write_text(json.dumps(config))
            return load_bundle(temporary)
        except OSError as error:
            raise GenreclfError(f"{folder / WEIGHTS}: cannot be read ({error.strerror}); is this a bundle?") from error
        except GenreclfError as error:
            raise GenreclfError(str(error).replace(name, str(folder))) from error


def _parser() -> Parser:
    parser = Parser(
        prog="genreclf convert",
        description="Makes a bundle of a checkpoint, for example of an interrupted training, or of a bundle of format "
        f"{OLD_FORMAT}. A training that finishes writes its bundle itself.",
        epilog="Exit code: 0, or 2 for a wrong call.",
    )
    parser.add_argument(
        "source",
        metavar="RUN/last.ckpt",
        help=f"a checkpoint in its run folder, or the folder of a bundle of format {OLD_FORMAT}",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="the new bundle's folder (default for a checkpoint: RUN/last)"
    )
    parser.add_argument(
        "--temperature", type=_temperature, help="for calibrated probabilities (default: the bundle's; a checkpoint: 1)"
    )
    return parser


def _temperature(word: str) -> float:
    number = float(word)
    if not 0 < number < 1_000:
        raise argparse.ArgumentTypeError("give a number above 0 and below 1000")
    return number


if __name__ == "__main__":
    sys.exit(main())
