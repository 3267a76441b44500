"""Makes a bundle from a training checkpoint: genreclf convert RUN/last.ckpt."""

import sys
from collections.abc import Sequence
from pathlib import Path

from genreclf.command_options import Parser, number
from genreclf.config import build
from genreclf.errors import GenreclfError, command
from genreclf.exporters.bundle import Bundle, fields_of_task, save_bundle
from genreclf.files import user_path
from genreclf.inference.model_info import TEMPERATURES, ModelInfo
from genreclf.inference.task import MULTICLASS
from genreclf.nets.classifier import GenreClassifier
from genreclf.nets.config import ModelConfig
from genreclf.nets.weights_file import check_finite
from genreclf.text import one_line, shell_command
from genreclf.training.checkpoint_io import read_checkpoint_file
from genreclf.training.resume import read_run


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command. Returns 0, or 2 for a usage error."""
    options = _parser().parse_args(arguments)
    bundle = read_checkpoint(options.checkpoint, options.temperature)
    out = options.out or options.checkpoint.with_suffix("")
    out.mkdir(parents=True, exist_ok=True)  # fails before the conversion to ONNX, which takes seconds
    save_bundle(out, bundle)
    print(one_line(f"bundle: {out}"))
    print(f"next: genreclf predict FILE... --model {shell_command(str(out))}")
    return 0


def read_checkpoint(path: Path, temperature: float) -> Bundle:
    """Reads the net of a checkpoint in its run folder, with the folder's config.yaml and record.json.

    Raises GenreclfError for other files, and if one of these is missing.
    """
    try:
        saved = read_checkpoint_file(path)
        parameters, state = saved["hyper_parameters"], saved["state_dict"].items()
        config, record = read_run(path.parent, ("view", "data.picture_seconds"), ("data.frames_per_column",))
        info = ModelInfo.from_dict(
            {
                "name": config["model"]["name"],
                "classes": parameters["classes"],
                "view": config["view"],
                "picture_seconds": config["data"]["picture_seconds"],
                "frames_per_column": record["data"]["frames_per_column"],
                "temperature": temperature,
                **fields_of_task(
                    parameters.get("task", MULTICLASS),  # earlier versions had no other
                    parameters["shares"],
                    parameters["optim"]["prior_power"],
                ),
            }
        )
        net = GenreClassifier(build(ModelConfig, parameters["net"], "net"))
        net.load_state_dict({key.removeprefix("net."): value for key, value in state if key.startswith("net.")})
    except OSError as error:
        raise GenreclfError(f"{path}: cannot be read ({error.strerror}); give RUN/last.ckpt") from error
    except GenreclfError:  # about the configuration or the record
        raise
    except Exception as error:  # of many classes, for other files and those that contain code
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise GenreclfError(f"{path}: not a checkpoint of genreclf train ({why}); give RUN/last.ckpt") from error
    check_finite(path, net.state_dict(), "resume the training from an earlier checkpoint")
    return Bundle(net.eval(), info)


def _parser() -> Parser:
    parser = Parser(
        prog="genreclf convert",
        description="Makes a bundle from a checkpoint, for example of an interrupted run. A finished run already has "
        "its bundle.",
        epilog="Exit code: 0, or 2 for a usage error.",
    )
    parser.add_argument("checkpoint", type=user_path, metavar="RUN/last.ckpt", help="a checkpoint in its run folder")
    parser.add_argument("--out", type=user_path, metavar="FOLDER", help="the folder of the bundle (default RUN/last)")
    temperature = number(TEMPERATURES)
    parser.add_argument("--temperature", type=temperature, default=1.0, help="for calibrated probabilities (default 1)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
