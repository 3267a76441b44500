"""The order of the layers: a module imports only from its own layer and from layers to the left of it."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny_sounds import music_like

import genreclf

PACKAGE = Path(genreclf.__file__).parent
BASE = (
    *("text", "csv_text", "outputs", "stopping", "cores", "errors", "files", "config", "progress", "grouping"),
    *("terminal", "page", "plot_text"),
)
# From left to right. The app offers data's demo music.
LAYERS = (
    *("base", "frontend", "tags", "inference", "http", "data", "app", "nets", "exporters", "training", "evaluation"),
    "commands",
)
RANK = {layer: rank for rank, layer in enumerate(LAYERS)}
# These import torch nowhere, not even inside a function.
WITHOUT_TORCH = ("base", "frontend", "tags", "inference", "http", "app")
TORCH = ("torch", "torchaudio", "torchvision", "torchmetrics", "lightning", "timm")


def modules() -> list[str]:
    """Returns names such as data/store.py, without the package's __init__.py, which imports the public API lazily."""
    found = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
    return [name for name in found if name != "__init__.py"]


def layer_of(module: str) -> str:
    """Returns the layer of a dotted name below genreclf: data.store -> data, train -> commands."""
    first, *rest = module.split(".")
    if first in BASE or not first:
        return "base"
    return first if first in RANK and rest != ["__main__"] else "commands"


def imports_of(name: str) -> Iterator[tuple[int, str]]:
    """Yields (line, dotted name) of every import in a module, including those inside functions."""
    for node in ast.walk(ast.parse((PACKAGE / name).read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}:{node.lineno}: a relative import; give the whole name"
            # `from genreclf.app import drawing` imports a module of that layer; the layer is the same either way.
            yield node.lineno, node.module or ""
            if node.module == "genreclf":
                yield from ((node.lineno, f"genreclf.{alias.name}") for alias in node.names if _is_module(alias.name))


def _is_module(name: str) -> bool:
    return (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file()


@pytest.mark.parametrize("name", modules())
def test_a_module_imports_nothing_from_its_right(name):
    layer = layer_of(name.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
    for line, imported in imports_of(name):
        package, _, module = imported.partition(".")
        if package != "genreclf":
            assert layer not in WITHOUT_TORCH or package not in TORCH, f"{name}:{line}: {layer} imports {package}"
            continue
        other = layer_of(module)
        assert other == layer or RANK[other] < RANK[layer], f"{name}:{line}: {layer} imports from {other} ({imported})"


def test_every_folder_of_the_package_is_a_layer():
    folders = {path.parent.relative_to(PACKAGE).parts[0] for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE}
    assert folders == set(RANK) - {"base", "commands"}


@pytest.mark.parametrize(
    "statement",
    [
        "import genreclf.predict",
        "import genreclf.embed",
        "import genreclf.tag, genreclf.similar",
        "import genreclf.serve",
        "from genreclf import Classifier",
        "import genreclf.__main__",
        "import genreclf.app.classify, genreclf.app.scores, genreclf.app.about",
    ],
)
def test_inference_imports_no_torch(statement):
    code = f"{statement}\nimport sys\nprint(*sorted(set(sys.modules) & {set(TORCH)}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_prediction_imports_no_package_that_it_does_not_use(tmp_path):
    soundfile.write(tmp_path / "song.wav", music_like(10, np.random.default_rng(0)), 22_050)
    late = {"PIL", "av", "rich", "scipy", "sklearn", "matplotlib", "pandas", "pyarrow", "hydra", "yaml", "fsspec"}
    late |= {"streamlit", "huggingface_hub"}
    code = (
        f"import sys, genreclf.predict\ngenreclf.predict.main(['song.wav', '--json'])\nprint(set(sys.modules) & {late})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
