import sys

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from genreclf.config import RENAMED
from genreclf.errors import GenreclfError
from genreclf.hydra_command import run_command, translate

QUIET = ("hydra/job_logging=disabled", "hydra/hydra_logging=disabled")


@pytest.fixture
def command(monkeypatch, tmp_path, capsys):
    """Runs a task with a command's configuration; returns the task's arguments, the exit code and standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    monkeypatch.delenv("HYDRA_FULL_ERROR")

    def run(*arguments, task=lambda config: None, name="train", **options):
        calls = []

        def recorded(config, overrides):
            calls.append((config, overrides))
            return task(config)

        code = run_command(name, recorded, [*arguments, *QUIET], **options)
        return calls, code, capsys.readouterr().err

    return run


def only_line(error: str) -> str:
    """Returns the message about a user's mistake, which must be one line."""
    assert error.startswith("genreclf: ") and error.count("\n") == 1, error
    return error


def fail(message: str):
    def task(config):
        raise GenreclfError(message)

    return task


def test_the_task_gets_plain_data_and_the_overrides(command, cache):
    before = list(sys.argv)
    calls, code, error = command("seed=7", "model=b", "optim.label_smoothing=0.2")
    ((config, overrides),) = calls
    assert (code, error) == (0, "") and sys.argv == before
    assert overrides == ["seed=7", "model=b", "optim.label_smoothing=0.2"]
    assert type(config) is dict
    assert type(config["model"]["net"]) is dict
    assert (config["seed"], config["model"]["name"], config["optim"]["label_smoothing"]) == (7, "b", 0.2)
    assert config["data"]["path"] == f"{cache}/demo"  # interpolations are resolved


def test_arguments_default_to_the_command_line(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train", "seed=7", *QUIET])
    seeds = []
    assert run_command("train", lambda config, _: seeds.append(config["seed"])) == 0
    assert seeds == [7]


def test_a_task_chooses_the_exit_code(command):
    assert command(task=lambda config: 1)[1] == 1


@pytest.mark.parametrize("kind", [ZeroDivisionError, ValueError])
def test_a_bug_keeps_its_traceback(command, kind):
    def broken(config):
        raise kind("bug")

    with pytest.raises(kind, match="bug"):
        command(task=broken)


@pytest.mark.parametrize(
    ("argument", "parts"),
    [
        ("trainer.max_epoch=3", ("trainer.max_epoch:", "'trainer.max_epochs'")),
        ("+epochs=3", ("epochs:", "epochs'")),
        ("++batchsize=1", ("batchsize:", "'batch_size'")),
        ("+trainer.limit_train_batch=1", ("trainer.limit_train_batch:", "'trainer.limit_train_batches'")),
        ("+model.net.bans=1", ("model.net.bans:", "'model.net.bands'")),
        ("zzzzzzzzzz=3", ("zzzzzzzzzz:", "--help")),
        ("model=c", ("model=c:", "a, a_original, b, b_original, b_scratch, majority, svm, svm_statistics")),
        ("model=null", ("model=null:", "a, a_original, b")),
        ("optim=3", ("optim=3:", "onecycle, original")),
        ("optim=[onecycle,original]", ("optim=[onecycle,original]:", "onecycle, original")),
        ("logger={}", ("logger={}:", "csv, mlflow")),
        ("~seed", ("~seed:", "KEY=VALUE")),
        ("=3", ("=3:", "KEY=VALUE")),
        ("seed=0,1", ("seed=0,1:", "-m")),
        ("run=", ("run=:", "give one")),
        ("data=folder", ("data.path:", "data.path=...")),
        ("--config-name=foo", ("--config-name foo:", "train")),
        ("--strict", ("--strict:", "--help")),
        ("--multirn", ("--multirn:", "'--multirun'")),
        ("--run", ("--run:", "usage: genreclf train")),
        ("runs/x", ("runs/x:", "usage: genreclf train KEY=VALUE")),
    ],
)
def test_mistakes_on_the_command_line_name_the_key_and_the_remedy(command, argument, parts):
    calls, code, error = command(argument, extra_keys=("trainer.limit_train_batches",))
    assert (calls, code) == ([], 2)
    assert all(part in only_line(error) for part in parts)


@pytest.mark.parametrize("old", RENAMED)
def test_keys_of_earlier_versions_are_refused_with_the_new_ones(command, old):
    calls, code, error = command(old if "=" in old else f"{old}=1")
    assert (calls, code) == ([], 2)
    assert only_line(error) == f"genreclf: {old}: {RENAMED[old]}\n"
    key, _, value = old.partition("=")
    with pytest.raises(GenreclfError, match=f"^{old}: "):
        translate([f"+{key}=other,{value}" if value else f"+{key}=1"], "train")


def test_neither_known_nor_extra_keys_need_a_plus(command):
    keys = ("trainer.limit_train_batches",)
    calls, *_ = command("+seed=3", "trainer.limit_train_batches=2", extra_keys=keys)
    ((config, overrides),) = calls
    assert (config["seed"], config["trainer"]["limit_train_batches"]) == (3, 2)
    assert overrides == ["seed=3", "trainer.limit_train_batches=2"]
    calls, *_ = command("+logger.csv.name=x", "logger=none")  # users may add keys to this group
    assert calls[0][0]["logger"] == {"csv": {"name": "x"}}


def test_a_run_may_have_any_name(command):
    for name in ("true", "[1,2]", "{}", "2026"):
        (override,) = OverridesParser.create().parse_overrides(translate([f"run={name}"], "train"))
        assert override.value() == name
    ((config, _),), *_ = command("run=2026")
    assert config["run"] == "2026"


@pytest.mark.parametrize("run", ["runs/x", "a", "2026", "runs/sweep/model=a,seed=0", "it's {mine}, #1"])
def test_a_word_without_a_key_is_the_run(command, run):
    calls, code, error = command(run, "clips=val", name="evaluate")
    assert (code, error) == (0, "")
    assert (calls[0][0]["run"], calls[0][0]["clips"]) == (run, "val")
    forms = ([run, "clips=val"], ["clips=val", run], [f"run={run}", "clips=val"])
    one, other, with_key = (sorted(translate(words, "evaluate")) for words in forms)
    assert one == other == with_key


def test_a_folder_with_an_equals_sign_is_the_run(command, tmp_path):
    (tmp_path / "seed=0").mkdir()
    ((config, _),), *_ = command("seed=0", name="evaluate")
    assert config["run"] == "seed=0"


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["x", "y"], ("y:",)),
        ([], ("run:",)),
        (["x", "run=y"], ("y:",)),
        (["--run", "x"], ("--run:",)),
        (["--onnx", "x"], ("--onnx:",)),
    ],
)
def test_wrong_words_show_the_usage(command, words, parts):
    calls, code, error = command(*words, name="evaluate")
    assert (calls, code) == ([], 2)
    assert all(part in only_line(error) for part in (*parts, "usage: genreclf evaluate RUN"))


def test_options_of_hydra_keep_their_values():
    words = ["--cfg", "job", "-p", "optim"]
    assert translate([*words, "x", "clips=val"], "evaluate") == [*words, 'run="x"', "clips=val"]
    assert translate([*words, "--strict"], "audit") == [*words, "strict=true"]


@pytest.mark.parametrize("word", ["model=glob(*)", "model=a,b", "model=choice(a,b)", "logger=[csv,tensorboard]"])
def test_several_choices_of_a_group_are_passed_on(word):
    assert translate([word], "train") == [word]


@given(st.text(st.sampled_from("a/é歌\udcff \t\n\\\"'()[]{}=:,#~$%"), max_size=8))
def test_a_value_that_hydra_would_misread_is_quoted(value):
    word = f"data.path=/é{value}"
    (override,) = OverridesParser.create().parse_overrides(translate([word], "train"))
    assert override.value() == f"/é{value}"


def test_a_path_is_passed_on_unchanged(command, tmp_path):
    path = tmp_path
    for name in ("música, 1", "it's (mine)", " x ", 'a\\"b\\', "new\nline", "a=b", "#1"):
        for folder in (tmp_path / name, path := path / name):
            folder.mkdir(exist_ok=True)
            (override,) = OverridesParser.create().parse_overrides(translate([f"data.path={folder}/"], "train"))
            assert override.value() == f"{folder}/"
    ((config, _),), *_ = command("data=folder", f"data.path={path}")
    assert config["data"]["path"] == f"{path}"


@pytest.mark.parametrize("word", ["seed=0,1", "-m", "--config-dir=é", "optim.x=[1,2]", "seed=range(1, 3)", "a=b"])
def test_other_words_are_not_quoted(word):
    assert translate([word], "train") == [word]


@pytest.mark.parametrize("argument", ["model=[a", "seed=${nothing}", "seed=${oc.env:GENRECLF_NO_SUCH}", "model=3"])
def test_other_mistakes_are_one_line_too(command, argument):
    calls, code, error = command(argument)
    assert (calls, code) == ([], 2)
    assert len(only_line(error)) > len("genreclf: \n")


def test_in_a_sweep_every_job_runs_and_the_highest_code_is_returned(command):
    def second_fails(config):
        if config["seed"] == 1:
            raise GenreclfError("seed=1: wrong")
        return 1

    calls, code, error = command("batch_size=8", "-m", "seed=0,1,2", task=second_fails)
    assert [config["seed"] for config, _ in calls] == [0, 1, 2]
    assert code == 2
    assert error == "genreclf: seed=1: wrong\n"


OPTIONS = ("against", "drop_list")


@given(st.lists(st.text(st.sampled_from("a/é歌 \t\\\"'()[]{}:,#$%"), min_size=1, max_size=6), min_size=1, max_size=3))
def test_options_take_their_values_unchanged_and_the_other_word_is_the_folder(values):
    values = [f"./{value}" for value in values]
    for words in (["D", "--against", *values], ["--against", *values, "--drop-list", "x=1", "D"]):
        parsed = OverridesParser.create().parse_overrides(translate(words, "audit", options=OPTIONS))
        found = {one.key_or_group: one.value() for one in parsed}
        assert [str(one) for one in found["against"]] == values
        assert (found["data"], found["data.path"]) == ("folder", "D")
        assert ("drop_list" in found) == ("--drop-list" in words)


def test_options_end_at_a_setting_and_the_folder_may_be_of_another_data_set():
    words = ["--against=A", "B", "data=gtzan", "D", "--drop-list=F", "--strict"]
    found = translate(words, "audit", options=OPTIONS)
    assert found == ['against=["A","B"]', 'drop_list="F"', "data=gtzan", 'data.path="D"', "strict=true"]


@pytest.mark.parametrize("words", [["--against"], ["--against", "--strict"], ["--drop-list="], ["D", "E"]])
def test_a_missing_value_or_a_word_too_many_shows_the_usage(words):
    with pytest.raises(GenreclfError, match="usage: genreclf audit DIR"):
        translate(words, "audit", options=OPTIONS)
    with pytest.raises(GenreclfError, match="once"):
        translate(["--drop-list", "a", "--drop-list", "b"], "audit", options=OPTIONS)


def test_a_tilde_is_the_home_folder(command, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    ((config, _),), *_ = command("data=folder", "data.path=~/music", "run=~/a run", "cache=~")
    assert (config["data"]["path"], config["run"]) == (f"{tmp_path}/music", f"{tmp_path}/a run")
    assert config["cache"] == str(tmp_path)
    ((config, _),), *_ = command("~/x", name="evaluate")
    assert config["run"] == f"{tmp_path}/x"


def test_braces_after_a_dollar_sign_are_part_of_a_path(command, tmp_path):
    (tmp_path / "a${b}").mkdir()
    ((config, _),), *_ = command("data=folder", f"data.path={tmp_path}/a${{b}}")
    assert config["data"]["path"] == f"{tmp_path}/a${{b}}"
    ((config, _),), *_ = command("a${b}", name="evaluate")
    assert config["run"] == "a${b}"
