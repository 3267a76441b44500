"""The `genreclf` command: the command that it runs, and how it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import genreclf
from genreclf import __main__ as cli
from genreclf.errors import USER_ERROR


def command_that(monkeypatch, action) -> None:
    """Makes `genreclf predict` run `action` instead."""
    monkeypatch.setitem(sys.modules, "genreclf.predict", SimpleNamespace(main=action))


def missing(package: str):
    def action(_):
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)

    return action


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_has_a_line_for_each_command(arguments, capsys):
    assert cli.main(arguments) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert set(cli.COMMANDS) <= {words[0] for words in lines if len(words) > 1}


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_each_command_has_its_help_which_fits_a_screen(name, monkeypatch, capsys):
    if name == "search":
        pytest.importorskip("optuna")
    monkeypatch.setattr(sys, "argv", ["genreclf"])
    monkeypatch.setenv("COLUMNS", "200")
    try:
        code = cli.main([name, "--help"])
    except SystemExit as end:  # argparse and Hydra end this way
        code = end.code or 0
    output = capsys.readouterr().out
    assert code == 0 and f"genreclf {name}" in output
    assert len(output.splitlines()) <= 45


@pytest.mark.parametrize(
    ("word", "hint"), [("predicts", "'predict'"), ("evalute", "'evaluate'"), ("zzz", ", ".join(cli.COMMANDS))]
)
def test_an_unknown_command_is_refused_with_the_nearest_one_or_all(word, hint, capsys):
    assert cli.main([word]) == USER_ERROR
    error = capsys.readouterr().err
    assert word in error and hint in error


def test_the_command_gets_the_other_words_and_gives_the_exit_code(monkeypatch):
    words = []
    command_that(monkeypatch, lambda arguments: words.extend(arguments) or 1)
    assert cli.main(["predict", "song.mp3", "--json"]) == 1
    assert words == ["song.mp3", "--json"]


@pytest.mark.parametrize(
    ("package", "remedies"),
    [
        ("torch", ["scripts/setup ", "'genreclf'"]),
        ("pyarrow.parquet", ["scripts/setup ", "'genreclf'"]),
        ("streamlit", ["scripts/setup predict app", "streamlit>="]),
        ("prometheus_client", ["scripts/setup predict serve", "uvicorn>="]),
    ],
)
def test_a_missing_package_is_one_line_that_says_what_to_install(package, remedies, monkeypatch, capsys):
    command_that(monkeypatch, missing(package))
    assert cli.main(["predict"]) == USER_ERROR
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    for part in [package.split(".")[0], *remedies]:
        assert part in error


@pytest.mark.parametrize("name", ["genreclf.train", "genreclf"])
def test_python_m_says_the_same_about_a_missing_package(name, tmp_path):
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('No module', name='torch')")
    words = ["train"] if name == "genreclf" else []
    path = os.pathsep.join([str(tmp_path), str(Path(genreclf.__file__).parents[1])])
    done = subprocess.run(
        [sys.executable, "-m", name, *words],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == USER_ERROR and done.stderr.count("\n") == 1, done.stderr
    assert all(part in done.stderr for part in ("torch", "scripts/setup", "pip install"))


def test_a_missing_module_of_the_project_keeps_its_traceback(monkeypatch):
    command_that(monkeypatch, missing("genreclf.nowhere"))
    with pytest.raises(ModuleNotFoundError):
        cli.main(["predict"])


def test_an_interrupt_ends_quietly(monkeypatch, capsys):
    def action(_):
        raise KeyboardInterrupt

    command_that(monkeypatch, action)
    assert cli.main(["predict"]) == 130
    assert capsys.readouterr() == ("", "")


def test_ctrl_c_ends_the_process_at_once_while_libraries_are_loaded(monkeypatch):
    handlers = []

    def imported(name: str) -> SimpleNamespace:
        handlers.append(signal.getsignal(signal.SIGINT))
        return SimpleNamespace(main=lambda _: handlers.append(signal.getsignal(signal.SIGINT)) or 0)

    monkeypatch.setattr("importlib.import_module", imported)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert cli.main(["predict"]) == 0
        assert handlers == [signal.SIG_DFL, signal.default_int_handler]
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in a shell's background job
        assert cli.main(["predict"]) == 0
        assert handlers[2:] == [signal.SIG_IGN, signal.SIG_IGN]
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_closed_pipe_ends_quietly():
    code = (
        "import sys, types; from genreclf.__main__ import main\n"
        "lines = lambda arguments: print('line\\n' * 100_000) or 0\n"
        "sys.modules['genreclf.predict'] = types.SimpleNamespace(main=lines)\n"
        "sys.exit(main(['predict']))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 141


def test_python_m_genreclf_is_the_same_command():
    done = subprocess.run([sys.executable, "-m", "genreclf", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["genreclf", genreclf.__version__]


def test_idle_threads_use_no_cpu_time():
    code = (
        "import time\n"
        "from genreclf.__main__ import main\n"
        "main(['--version'])\n"
        "import numpy as np\n"
        "np.ones((500, 500)) @ np.ones((500, 500))\n"  # on all threads
        "begin = time.process_time()\n"
        "time.sleep(0.2)\n"
        "print(time.process_time() - begin)"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OPENBLAS_", "OMP_"))}
    environment["OPENBLAS_NUM_THREADS"] = "4"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert float(done.stdout.split()[-1]) < 0.002
