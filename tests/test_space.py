"""`genreclf space`: the folder, and the start command in it."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from pathlib import Path

import pytest
import yaml
from huggingface_hub import SpaceCard

from genreclf import space
from genreclf.inference.run_folder import PRETRAINED


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A Space with its own model beside the pretrained ones."""
    place = tmp_path_factory.mktemp("space")
    shutil.copytree(PRETRAINED / "a", place / "my model")
    title = 'Genres: "mine"'
    assert space.main([str(place / "new" / "out"), "--model", str(place / "my model"), "--title", title]) == 0
    return place / "new" / "out"


def start_command(folder: Path) -> list[str]:
    return json.loads(re.findall(r"^CMD (\[.*\])$", (folder / "Dockerfile").read_text(), re.MULTILINE)[0])


def test_the_hub_can_read_its_front_matter_and_reaches_its_port(folder):
    card = SpaceCard.load(folder / "README.md")
    assert card.data.sdk == "docker" and card.data.title == 'Genres: "mine"' and card.data.license == "other"
    command = start_command(folder)
    assert command[command.index("--server.port") + 1] == str(card.data.app_port) == "7860"
    assert yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])["emoji"]


def test_it_contains_the_models_without_weights_for_training(folder):
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {"models/my model/config.json", "models/my model/model.onnx", "genreclf/pretrained/a/model.onnx"} <= names
    assert not any(name.endswith((".safetensors", ".pyc")) for name in names)
    assert (folder / "LICENSE").read_text() == (Path(__file__).parents[1] / "LICENSE").read_text()


def test_a_licence_beside_the_installed_package_is_not_copied(tmp_path, monkeypatch):
    (tmp_path / "LICENSE").write_text("of another package")
    (tmp_path / "genreclf").mkdir()
    monkeypatch.setattr(space, "__file__", str(tmp_path / "genreclf" / "space.py"))
    space.write_space(tmp_path / "out", {}, "title", "other")
    assert "another package" not in (tmp_path / "out" / "LICENSE").read_text()


def test_its_packages_are_those_of_the_small_install_with_the_app(folder):
    project = Path(__file__).parents[1] / "pyproject.toml"
    groups = tomllib.loads(project.read_text())["dependency-groups"]
    pins = dict(line.split("==") for line in (folder / "requirements.txt").read_text().split())
    assert list(pins) == [*groups["predict"], *groups["app"]] and all(pins.values())


def test_its_start_command_serves_the_app_from_this_folder(folder):
    pytest.importorskip("streamlit")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [{"python": sys.executable, "7860": str(port)}.get(word, word) for word in start_command(folder)]
    environment = {**os.environ, "GENRECLF_RUNS": "models"}
    with subprocess.Popen(words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as app:
        try:
            health = f"http://127.0.0.1:{port}/_stcore/health"
            deadline = time.monotonic() + 120
            while not _answers(health) and app.poll() is None and time.monotonic() < deadline:
                time.sleep(0.2)
            assert urllib.request.urlopen(health).read() == b"ok"
            files = Path(f"/proc/{app.pid}/maps").read_text() if Path("/proc").is_dir() else ""
            assert "torch" not in files
        finally:
            app.send_signal(signal.SIGTERM)
            app.wait(30)
    found = subprocess.run(
        [sys.executable, "-c", "import genreclf; print(genreclf.__file__)"], cwd=folder, capture_output=True, text=True
    )
    assert Path(found.stdout.strip()).is_relative_to(folder)


def _answers(address: str) -> bool:
    try:
        urllib.request.urlopen(address, timeout=1)
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{taken}"], r"taken: is not empty"),
        (["{taken}/file"], r"taken/file: is not empty"),
        (["{new}", "--model", "nothing"], r"nothing: not a run folder"),
        (["{new}", "--model", "a", "--model", "x/a"], r"two models have one name"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(tmp_path, monkeypatch, capsys, words, message):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    shutil.copytree(PRETRAINED / "a", tmp_path / "x" / "a", ignore=shutil.ignore_patterns("*.safetensors"))
    monkeypatch.chdir(tmp_path)
    places = {"taken": tmp_path / "taken", "new": tmp_path / "new"}
    assert space.main([word.format(**places) for word in words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(message, line) and not (tmp_path / "new").exists()


def test_a_missing_package_is_one_line_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(space, "PACKAGES", ("numpy", "a-missing-package"))
    assert space.main([str(tmp_path / "new")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "a-missing-package" in line and "scripts/setup predict app" in line and not (tmp_path / "new").exists()
