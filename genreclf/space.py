"""Writes the app and models as a folder for a Docker Space of the Hugging Face Hub: genreclf space OUT."""

import importlib.metadata
import json
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from genreclf.command_options import Parser
from genreclf.errors import GenreclfError, command
from genreclf.files import user_path
from genreclf.inference.run_folder import CARD, MODEL_CONFIG, MODEL_ONNX, SCORES_JSON, find_bundle, pretrained_names
from genreclf.text import one_line, shell_command

PORT = 7860  # where the Hub expects a Space
PACKAGE, MODELS = "genreclf", "models"
# The small install with the app: the groups `predict` and `app` in pyproject.toml
PACKAGES = (
    *("numpy", "onnxruntime", "soundfile", "av", "soxr", "pillow", "rich"),
    *("streamlit", "jinja2", "markdown-it-py"),
)
COMMAND = (
    *("python", "-m", "genreclf", "app", "--server.port", str(PORT), "--server.address", "0.0.0.0"),
    # The Hub shows the page in a frame on another site, where browsers withhold the cookie that this protection checks,
    # so every upload would be refused. The app has no accounts that another site could misuse.
    *("--server.headless", "true", "--server.enableXsrfProtection", "false"),
)
_DOCKERFILE = f"""FROM python:3.12-slim
RUN useradd --create-home --uid 1000 user
WORKDIR /home/user/app
COPY requirements.txt ./
RUN pip install --no-cache-dir -r requirements.txt
COPY . .
USER 1000
ENV HOME=/home/user GENRECLF_RUNS=/home/user/app/{MODELS} PYTHONDONTWRITEBYTECODE=1
EXPOSE {PORT}
CMD {json.dumps(COMMAND)}
"""
_README = """---
title: {title}
emoji: 🎵
colorFrom: indigo
colorTo: yellow
sdk: docker
app_port: {port}
license: {license}
tags:
- audio-classification
- music
- music-genre-classification
---
# {heading}

Give it a song, and see its genre. Made with genreclf.
The models' cards are in the folders `genreclf/pretrained` and `models`.
"""
_ATTRIBUTES = "*.onnx filter=lfs diff=lfs merge=lfs -text\n"  # for files of more than 10 MB, if git pushes the folder


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command. Returns 0, or 2 for a usage error."""
    options = _parser().parse_args(arguments)
    bundles = {Path(model).resolve().name: find_bundle(model) for model in options.model}
    if len(bundles) < len(options.model):
        raise GenreclfError("--model: two models have one name; rename a folder")
    folder = options.out
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise GenreclfError(f"{folder}: is not empty; name a new folder")
    write_space(folder, bundles, options.title, options.license)
    print(one_line(f"space: {folder}"))
    print(f"try it: cd {shell_command(str(folder))} && GENRECLF_RUNS={MODELS} {shell_command(*COMMAND)}")
    print("publish it: hf repos create NAME --type space --space-sdk docker")
    print(f"            hf upload NAME {shell_command(str(folder))} . --type space")
    return 0


def write_space(folder: Path, bundles: dict[str, Path], title: str, license_name: str) -> None:
    """Writes the package without training weights, the `bundles` by name, and the files that the Hub needs to run them.

    Raises GenreclfError if a package of the app is missing, and OSError if the folder cannot be written.
    """
    here, pins = Path(__file__).parent, _pins()  # refused before anything is written
    shutil.copytree(here, folder / PACKAGE, ignore=shutil.ignore_patterns("__pycache__", "*.pyc", "*.safetensors"))
    for name, bundle in bundles.items():
        (folder / MODELS / name).mkdir(parents=True)
        for file in (MODEL_CONFIG, MODEL_ONNX, CARD, SCORES_JSON):
            if (bundle / file).is_file():
                shutil.copyfile(bundle / file, folder / MODELS / name / file)
    with suppress(importlib.metadata.PackageNotFoundError):  # a copy of the package that is not installed
        for installed in importlib.metadata.files(PACKAGE) or ():
            if installed.name == "LICENSE":
                shutil.copyfile(str(installed.locate()), folder / "LICENSE")
    # JSON strings are valid YAML.
    texts = {"title": json.dumps(title), "license": json.dumps(license_name), "heading": one_line(title)}
    readme = _README.format(**texts, port=PORT)
    texts = {"README.md": readme, "requirements.txt": pins, "Dockerfile": _DOCKERFILE, ".gitattributes": _ATTRIBUTES}
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


def _pins() -> str:
    """Returns the requirements, the installed version of each package. Raises GenreclfError if one is missing."""
    try:
        return "".join(f"{name}=={importlib.metadata.version(name)}\n" for name in PACKAGES)
    except importlib.metadata.PackageNotFoundError as error:
        raise GenreclfError(f"space: {error.name} is not installed; run scripts/setup predict app") from error


def _parser() -> Parser:
    parser = Parser(prog="genreclf space", description=__doc__)
    parser.add_argument("out", metavar="OUT", type=user_path, help="the folder, which must not exist or be empty")
    shown = f"a run or bundle folder to show beside {' and '.join(pretrained_names())}; may be repeated"
    parser.add_argument("--model", metavar="MODEL", action="append", default=[], help=shown)
    parser.add_argument("--title", default="Music genres", help="of the Space (default: Music genres)")
    states = "the licence that the Space states, by the Hub's name (default: other, as its models state none)"
    parser.add_argument("--license", default="other", help=states)
    return parser


if __name__ == "__main__":
    sys.exit(main())
