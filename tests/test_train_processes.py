"""Training in two processes on the CPU, started as by `torchrun` and by the command itself."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from command_line import NO_EXTRAS, Finished, command, epochs, start
from tiny_pictures import write_bands

# A narrow Model A in which only the order of the clips is random, so that two processes learn the same as one process
# from the same batches.
STEADY = [
    *("model=a", "model.net.channels=[8,8,16,16]", "model.net.lstm_units=[8]", "model.net.statistics_units=0"),
    *("model.net.backbone_dropout=[0,0,0,0]", "model.net.projection_dropout=0", "model.net.lstm_dropout=0"),
    *("model.net.recurrent_dropout=0", "model.net.head_dropout=[]", "model.net.noise_std=0"),
    *("optim=original", "optim.ema_decay=0.9", "augment=none", "view=crop", "batch_size=2", "trainer.max_epochs=3"),
    *("trainer.accelerator=cpu", "trainer.precision=32-true", "logger=none", "data=folder", "data.picture_seconds=6"),
]


@pytest.fixture(scope="module")
def music(tmp_path_factory) -> Path:
    """Three genres of six pictures each."""
    return write_bands(tmp_path_factory.mktemp("music"))


def words(music: Path, run: Path, *more: str) -> list[str]:
    return [*STEADY, f"data.path={music}", f"run={run}", *more]


def started(music: Path, run: Path, cache: Path, logs: Path, *more: str) -> list:
    """Starts two processes with the variables of torchrun."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = []
    for rank in range(2):
        names = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
        names |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test"}
        before = f"import os\nos.environ.update({ {key: str(value) for key, value in names.items()} })\n{NO_EXTRAS}"
        outputs = [logs / f"{rank}.stdout", logs / f"{rank}.stderr"]
        arguments = words(music, run, "trainer.devices=2", *more)
        processes.append(start("train", *arguments, cache=cache, before=before, outputs=outputs))
    return processes


def ended(processes: list, logs: Path) -> list[Finished]:
    results = []
    for rank, process in enumerate(processes):
        process.join(200)
        texts = [(logs / f"{rank}.{name}").read_text() for name in ("stdout", "stderr")]
        results.append(Finished(process.exitcode, *texts))
    return results


def weights(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / "last.ckpt", weights_only=True)["state_dict"]


@pytest.fixture(scope="module")
def two(music, cache, tmp_path_factory) -> Path:
    """The folder of a run in two processes, of which only the first prints anything."""
    folder = tmp_path_factory.mktemp("two")
    first, second = ended(started(music, folder / "two", cache, folder), folder)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "run folder: " in first.stdout and len(first.stderr.splitlines()) == 3  # a line for each epoch
    assert second.stdout == second.stderr == ""
    return folder / "two"


def test_two_processes_learn_the_same_as_one_from_the_same_batches(two, music, cache, tmp_path):
    """The reference is one process that steps after two batches, each normalized separately."""
    arguments = words(music, tmp_path / "one", "trainer.accumulate_grad_batches=2")
    alone = command("train", *arguments, cache=cache, before=NO_EXTRAS)
    assert alone.returncode == 0, alone.stderr
    for one, other in zip(epochs(tmp_path / "one"), epochs(two), strict=True):
        assert float(one["train/loss"]) == pytest.approx(float(other["train/loss"]), abs=1e-4)
        assert float(one["train/accuracy"]) == pytest.approx(float(other["train/accuracy"]))
    found = weights(two)
    for name, one in weights(tmp_path / "one").items():
        if "running" not in name:  # running statistics differ, because batch norms of two processes see other batches
            torch.testing.assert_close(one, found[name], atol=1e-4, rtol=1e-3, msg=name)


@pytest.mark.slow  # six processes with this fixture
def test_two_processes_that_were_killed_resume_with_the_same_bits(two, music, cache, tmp_path):
    killed = started(music, tmp_path / "killed", cache, tmp_path)
    metrics, until = tmp_path / "killed" / "metrics.csv", time.monotonic() + 100
    while not (metrics.is_file() and len(metrics.read_text().splitlines()) > 1) and time.monotonic() < until:
        time.sleep(0.02)
    for process in killed:
        process.kill()
        process.join()
    resumed = ended(started(music, tmp_path / "killed", cache, tmp_path, "ckpt=last"), tmp_path)
    assert all(result.returncode == 0 for result in resumed), resumed[0].stderr
    assert epochs(tmp_path / "killed") == epochs(two)
    after = weights(tmp_path / "killed")
    assert all(torch.equal(value, after[name]) for name, value in weights(two).items())


@pytest.mark.slow  # two processes that import torch
def test_the_command_starts_its_second_process(music, cache, tmp_path):
    arguments = words(music, tmp_path / "run", "trainer.devices=2", "trainer.strategy=ddp", "trainer.max_epochs=1")
    environment = {**os.environ, "GENRECLF_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    command_line = [sys.executable, "-m", "genreclf", "train", *arguments]
    done = subprocess.run(command_line, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("run folder: ") == 1 and done.stderr.count("epoch 1/1") == 1
    assert (tmp_path / "run" / "bundle" / "model.safetensors").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_slurm_variables_do_not_affect_a_single_process(music, cache, tmp_path):
    names = {"NTASKS": 4, "JOB_ID": 7, "JOB_NAME": "train", "PROCID": 3, "LOCALID": 3, "NODEID": 1, "STEP_NUM_TASKS": 4}
    before = "import os\nos.environ.update({ 'SLURM_' + key: str(value) for key, value in %r.items() })\n" % names  # noqa: UP031
    arguments = words(music, tmp_path / "run", "trainer.max_epochs=1")
    done = command("train", *arguments, cache=cache, before=before + NO_EXTRAS)
    assert done.returncode == 0 and "run folder: " in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("arguments", "torchrun", "parts"),
    [
        (("-m", "seed=0,1", "trainer.devices=2"), False, ("trainer.devices=2: ", "-m")),
        (("trainer.devices=2", "trainer.strategy=fsdp"), False, ("trainer.strategy=fsdp: ", "ddp")),
        (("trainer.devices=2",), True, ("trainer.devices=2: ", "run=FOLDER")),
        (("trainer.num_nodes=2",), False, ("trainer.num_nodes=2: ", "srun or torchrun")),
    ],
)
def test_settings_that_do_not_work_with_several_processes_are_refused(arguments, torchrun, parts, cache, tmp_path):
    before = "import os\nos.environ.update(TORCHELASTIC_RUN_ID='x', RANK='0', LOCAL_RANK='0', WORLD_SIZE='2')\n"
    done = command("train", *arguments, cache=tmp_path, before=before if torchrun else "")
    lines = [line for line in done.stderr.splitlines() if line.startswith("genreclf: ")]
    assert done.returncode == 2 and lines and all(word in lines[0] for word in parts), done.stderr
    assert "Traceback" not in done.stderr
