"""The small install: the wheel and the small lists in an empty environment. scripts/test-install runs it."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import soundfile
from matplotlib import colormaps
from PIL import Image
from tiny_pictures import tiny_picture

from genreclf.data.demo import render
from genreclf.errors import USER_ERROR

CHECKOUT = Path(__file__).parents[1]
UNSET = ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH")
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in UNSET}
GENRES = ["blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock"]
MAX_BYTES = 400 * 10**6
START_SECONDS = 60

pytestmark = pytest.mark.skipif(not os.environ.get("GENRECLF_INSTALL"), reason="takes a minute: scripts/test-install")


def run(*words: object, check: bool = True, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a command in `folder`; returns its output as text. With `check`, a failure fails the test and is shown."""
    done = subprocess.run(map(str, words), capture_output=True, text=True, cwd=folder, env=ENVIRONMENT)
    assert not check or done.returncode == 0, done.stderr
    return done


def pip(environment: Path, *words: object) -> None:
    run(environment / "bin" / "python", "-m", "pip", "--quiet", *words)


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """An environment with the wheel and the small list."""
    folder = tmp_path_factory.mktemp("small")
    environment = folder / "environment"
    run(sys.executable, "-m", "venv", environment)
    python = environment / "bin" / "python"
    probe = ["download", "--quiet", "--no-deps", "--retries", 0, "--timeout", 20, "--dest", folder / "probe", "mdurl"]
    if run(python, "-m", "pip", *probe, check=False).returncode:
        pytest.skip("no package index can be reached")
    pip(environment, "install", "--no-deps", "--require-hashes", "-r", CHECKOUT / "scripts/requirements-predict.txt")
    pip(environment, "wheel", "--no-deps", "--wheel-dir", folder, CHECKOUT)
    pip(environment, "install", "--no-deps", *folder.glob("*.whl"))
    return environment


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[Path]:
    """A WAV file, an MP3 file, a grey picture and a colour picture."""
    folder, rng = tmp_path_factory.mktemp("files"), np.random.default_rng(0)
    samples = render("chorale", 0, 0, 12.0)
    levels = tiny_picture(400, rng)[::-1]  # the lowest band is at the bottom and the loudest
    paths = [folder / name for name in ("song.wav", "song.mp3", "grey.png", "magma.png")]
    for path in paths[:2]:
        soundfile.write(path, samples, 22_050)
    Image.fromarray(levels).save(paths[2])
    Image.fromarray(colormaps["magma"](levels, bytes=True)[..., :3]).save(paths[3])
    return paths


def genreclf(environment: Path, folder: Path, *words: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    return run(environment / "bin" / "genreclf", *words, check=check, folder=folder)


def test_it_is_small_and_has_no_torch(small, tmp_path):
    assert sum(path.lstat().st_blocks * 512 for path in small.rglob("*")) < MAX_BYTES
    done = run(small / "bin/python", "-c", "import torch", check=False, folder=tmp_path)
    assert "No module named 'torch'" in done.stderr


def test_predict_reads_audio_and_pictures(small, files, tmp_path):
    rows = json.loads(genreclf(small, tmp_path, "predict", *files, "--json").stdout)
    assert len(rows) == len(files)
    assert all(sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-3) for row in rows)


def test_the_python_api(small, files, tmp_path):
    code = (
        "import sys; from genreclf import Classifier\n"
        "print(Classifier.from_pretrained('a').classify(sys.argv[1]).genre, 'torch' in sys.modules)"
    )
    genre, torch = run(small / "bin/python", "-c", code, files[0], folder=tmp_path).stdout.split()
    assert genre in GENRES
    assert torch == "False"


def test_embed(small, files, tmp_path):
    genreclf(small, tmp_path, "embed", *files, "--out", "out.npz")
    with np.load(tmp_path / "out.npz") as arrays:
        assert len(arrays["embedding"]) == len(files)


@pytest.mark.parametrize(
    ("words", "package"),
    [
        (["train"], "scripts/setup"),
        (["export", "a"], "scripts/setup"),
        (["app"], "pip install 'markdown-it-py>="),
        (["serve"], "pip install 'fastapi>="),
        (["predict", "{file}", "--parquet", "out.parquet"], "pyarrow"),
    ],
)
def test_a_missing_extra_is_one_line(words, package, small, files, tmp_path):
    done = genreclf(small, tmp_path, *(word.format(file=files[0]) for word in words), check=False)
    errors = [line for line in done.stderr.splitlines() if "using the pretrained" not in line]
    assert done.returncode == USER_ERROR, done.stderr
    assert len(errors) == 1
    assert package in errors[0]


def test_the_extras_add_the_service_and_the_app(small, files, tmp_path):
    lists = [CHECKOUT / "scripts" / f"requirements-{part}.txt" for part in ("predict", "app", "serve")]
    pip(small, "install", "--no-deps", "--require-hashes", *(word for path in lists for word in ("-r", path)))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    service = subprocess.Popen(
        [small / "bin/genreclf", "serve", "--port", str(port), "--quiet"], cwd=tmp_path, env=ENVIRONMENT
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/health")
        request = urllib.request.Request(f"http://127.0.0.1:{port}/classify", files[0].read_bytes())
        with urllib.request.urlopen(request) as reply:
            assert json.load(reply)["genre"]
    finally:
        service.terminate()
        service.wait()
    page = (
        "from pathlib import Path; import genreclf.app; from streamlit.testing.v1 import AppTest\n"
        "main = Path(genreclf.app.__file__).with_name('main.py')\n"
        "page = AppTest.from_file(str(main), default_timeout=60).run()\n"
        "print(len(page.exception), *page.exception)"
    )
    assert re.match(r"0\b", run(small / "bin/python", "-c", page, folder=tmp_path).stdout)


def wait_for(address: str) -> None:
    """Returns once the address replies."""
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            return urllib.request.urlopen(address).close()
        except urllib.error.URLError:
            assert time.monotonic() < end, f"{address} does not reply"
            time.sleep(0.2)
