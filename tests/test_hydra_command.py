import sys

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from genreclf.errors import USER_ERROR, GenreclfError
from genreclf.hydra_command import quoted, run_command

QUIET = ("hydra/job_logging=disabled", "hydra/hydra_logging=disabled")


@pytest.fixture
def command(monkeypatch, tmp_path, capsys):
    """Runs the train command's configuration with a task; gives what the task got, the exit code and standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    monkeypatch.delenv("HYDRA_FULL_ERROR")

    def run(*arguments, task=lambda config: None):
        calls = []

        def recorded(config, overrides):
            calls.append((config, overrides))
            task(config)

        monkeypatch.setattr(sys, "argv", ["train", *arguments, *QUIET])
        code = 0
        try:
            run_command("train", recorded)
        except SystemExit as stop:
            code = stop.code
        return calls, code, capsys.readouterr().err

    return run


def fail(message: str):
    def task(config):
        raise GenreclfError(message)

    return task


def test_the_task_gets_plain_data_and_the_overrides(command, cache):
    calls, code, error = command("seed=7", "model=b", "optim.patience=3")
    ((config, overrides),) = calls
    assert (code, error) == (0, "")
    assert overrides == ["seed=7", "model=b", "optim.patience=3"]
    assert type(config) is dict
    assert type(config["model"]["net"]) is dict
    assert (config["seed"], config["model"]["name"], config["optim"]["patience"]) == (7, "b", 3)
    assert config["data"]["path"] == f"{cache}/demo"  # interpolations are resolved


def test_what_a_user_can_mend_is_one_line_and_exit_code_2(command):
    _, code, error = command(task=fail("x.wav: is no audio; give another"))
    assert code == USER_ERROR == 2
    assert error == "genreclf: x.wav: is no audio; give another\n"


@pytest.mark.parametrize("kind", [ZeroDivisionError, ValueError])
def test_a_defect_of_ours_keeps_its_traceback(command, kind):
    def broken(config):
        raise kind("ours")

    with pytest.raises(kind, match="ours"):
        command(task=broken)


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("trainer.max_epoch=3", "trainer.max_epoch: unknown key; did you mean 'trainer.max_epochs'?"),
        ("optim.learning_rat=3", "optim.learning_rat: unknown key; did you mean 'optim.learning_rate'?"),
        ("batchsize=3", "batchsize: unknown key; did you mean 'batch_size'?"),
        ("zzzzzzzzzz=3", "zzzzzzzzzz: unknown key; see --help for the known keys"),
        (
            "model=c",
            "model=c: unknown; known: a, a_original, b, b_original, b_scratch, committee, majority, svm, "
            "svm_statistics",
        ),
        ("data=folder", "data.path: needs a value; give data.path=..."),
    ],
)
def test_mistakes_on_the_command_line_say_what_to_do(command, argument, expected):
    calls, code, error = command(argument)
    assert (calls, code) == ([], 2)
    assert error == f"genreclf: {expected}\n"


@given(st.text(st.sampled_from("a/é歌\udcff \t\n\\\"'()[]{}=:,#~$%"), max_size=8))
def test_a_value_that_hydra_would_not_take_is_quoted(value):
    word = f"data.path=/é{value}"
    (override,) = OverridesParser.create().parse_overrides([quoted(word)])
    assert override.value() == f"/é{value}"


@pytest.mark.parametrize("name", ["música, 1", "it's (mine)", " x ", 'a\\"b\\', "new\nline", "a=b", "#1"])
def test_a_path_comes_through_as_it_stands(command, tmp_path, name):
    (tmp_path / name).mkdir()
    ((config, _),), *_ = command("data=folder", f"data.path={tmp_path / name}/")
    assert config["data"]["path"] == f"{tmp_path / name}/"
    ((config, _),), *_ = command("data=folder", f"data.path={tmp_path / name}")
    assert config["data"]["path"] == f"{tmp_path / name}"


@pytest.mark.parametrize(
    "word", ["seed=0,1", "-m", "--config-dir=é", "optim.x=[1,2]", "~data", "=é", "seed=range(1, 3)", "a=b"]
)
def test_other_words_are_left_alone(word):
    assert quoted(word) == word


@pytest.mark.parametrize(
    "argument", ["model=[a", "seed=${nothing}", "seed=${oc.env:GENRECLF_NO_SUCH}", "=3", "seed", "model=3"]
)
def test_other_mistakes_are_one_line_too(command, argument):
    calls, code, error = command(argument)
    assert (calls, code) == ([], 2)
    assert error.startswith("genreclf: ")
    assert error.count("\n") == 1
    assert len(error) > len("genreclf: \n")


def test_in_a_sweep_every_job_runs_and_a_failure_is_told_in_the_end(command):
    def second_fails(config):
        if config["seed"] == 1:
            raise GenreclfError("seed=1: told")

    calls, code, error = command("-m", "seed=0,1,2", task=second_fails)
    assert [config["seed"] for config, _ in calls] == [0, 1, 2]
    assert code == 2
    assert error == "genreclf: seed=1: told\n"
