"""Prediction by an exported file: without torch, and with the answers that torch gives."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from bundles import random_bundle
from command_line import NO_TORCH, command

from genreclf.errors import GenreclfError
from genreclf.exporters.export import export_models
from genreclf.frontend.audio import SAMPLE_RATE_HZ, read_audio
from genreclf.frontend.clip import Clip
from genreclf.frontend.log_mel import log_mel
from genreclf.frontend.picture import write_picture
from genreclf.inference.onnx_model import OnnxModel
from genreclf.inference.predictor import Predictor
from genreclf.inference.run_folder import CONFIG, PRETRAINED, WEIGHTS
from genreclf.nets.bundle import Bundle, load_bundle, save_bundle
from genreclf.nets.torch_model import torch_predictor
from genreclf.predict import DEFAULT

pytest.importorskip("onnxruntime")

WITHOUT_RUNTIME = "import sys; sys.modules['onnxruntime'] = None"


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """The model that comes along: its answers differ from music to music, as those of random weights do not."""
    return load_bundle(PRETRAINED / DEFAULT)


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    """The pictures' files of each kind, another's for waveforms, and what the command said."""
    folder = tmp_path_factory.mktemp("exported")
    words = ("format=[onnx,onnx-float16,onnx-int8]", "input=picture", f"out={folder}")
    done = command("export", f"run={DEFAULT}", *words, cache=folder)
    assert done.returncode == 0, done.stderr
    (folder / "said").write_text(done.stdout)
    assert len(list(export_models(random_bundle("majority"), ["onnx"], "waveform", folder))) == 1  # soon made
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """The model that comes along as a run's bundle, which was not exported: torch answers for it."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "bundle").mkdir()
    for name in (CONFIG, WEIGHTS):
        shutil.copyfile(PRETRAINED / DEFAULT / name, folder / "bundle" / name)
    return folder


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    folder, rng = tmp_path_factory.mktemp("library"), np.random.default_rng(0)
    for seconds in (1, 7, 20):
        loudness = np.repeat(rng.random(4 * seconds), SAMPLE_RATE_HZ // 4)
        soundfile.write(folder / f"{seconds}.wav", 0.3 * loudness * rng.normal(size=len(loudness)), SAMPLE_RATE_HZ)
    write_picture(folder / "p.png", rng.integers(0, 256, (128, 387), np.uint8))
    (folder / "bad.wav").write_bytes(b"RIFF no sound")
    return folder


def test_answers_are_torchs(bundle, exported):
    theirs, ours = torch_predictor(bundle, "none", "cpu"), Predictor(OnnxModel(exported / "picture.onnx"))
    assert ours.facts == theirs.facts
    rng = np.random.default_rng(1)
    clips = [Clip(rng.integers(0, 256, (128, frames), np.uint8), frames, 22_050, 1.0, "") for frames in (3, 256, 2_000)]
    for own, expected in zip(ours.predict_many(clips), theirs.predict_many(clips), strict=True):
        assert own.probabilities == pytest.approx(expected.probabilities, abs=1e-4)
        assert own.genre == expected.genre
        for piece, other in zip(own.segments, expected.segments, strict=True):
            assert piece.probabilities == pytest.approx(other.probabilities, abs=1e-4)
    assert ours.predict_with_attention(clips[0])[1] is None


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_answers_for_real_music_are_torchs(gtzan, bundle, exported, batch):
    theirs, ours = torch_predictor(bundle, "none", "cpu"), Predictor(OnnxModel(exported / "picture.onnx"))
    songs = sorted(gtzan.rglob("*.flac"))[::20][:batch]
    waves = [read_audio(song).waveform for song in songs]
    clips = [Clip(log_mel(wave), 1 + len(wave) // 512, SAMPLE_RATE_HZ, 30.0, "") for wave in waves]
    for own, expected, song in zip(ours.predict_many(clips), theirs.predict_many(clips), songs, strict=True):
        assert own.probabilities == pytest.approx(expected.probabilities, abs=1e-4)
        # NumPy's front end: a level in 50,000 is another
        assert own.probabilities == pytest.approx(theirs.predict_file(song).probabilities, abs=5e-3)


def test_the_command_needs_no_torch(exported, run, library, cache):
    words = (library, "--json", "--segments")
    own = command("predict", *words, "--onnx", exported / "picture.onnx", cache=cache, before=NO_TORCH)
    theirs = command("predict", *words, "--run", run, cache=cache)
    assert own.returncode == theirs.returncode == 1, own.stderr
    rows, others = json.loads(own.stdout), json.loads(theirs.stdout)
    assert len(rows) == len(others) == 5
    for row, other in zip(rows, others, strict=True):
        assert (row["path"], row["problem"]) == (other["path"], other["problem"])
        if not row["problem"]:
            assert row["probabilities"] == pytest.approx(other["probabilities"], abs=5e-3)  # as two front ends differ
            assert len(row["segments"]) == len(other["segments"])
    assert "torch" in command("predict", *words, "--run", run, cache=cache, before=NO_TORCH).stderr


def test_an_exported_run_needs_no_torch_as_long_as_it_is_the_same(exported, run, library, cache, tmp_path):
    own = shutil.copytree(run, tmp_path / "run")
    (own / "exports").mkdir()
    shutil.copyfile(exported / "picture.onnx", own / "exports" / "picture.onnx")
    words = (library / "7.wav", "--json", "--device", "cpu", "--journal", tmp_path / "journal")
    swift = command("predict", *words, "--run", own, cache=cache, before=NO_TORCH)
    assert swift.returncode == 0, swift.stderr
    assert command("predict", *words, "--run", run, cache=cache).stdout == swift.stdout  # one model, one journal
    config = json.loads((own / "bundle" / CONFIG).read_text())
    for change in ({"temperature": 2.0}, {"picture_seconds": 20.0}, {"classes": config["classes"][::-1]}):
        (own / "bundle" / CONFIG).write_text(json.dumps({**config, **change}))
        assert "torch" in command("predict", *words, "--run", own, cache=cache, before=NO_TORCH).stderr, change
    (own / "bundle" / CONFIG).write_text(json.dumps(config))
    shutil.copyfile(exported / "picture.float16.onnx", own / "exports" / "picture.onnx")
    assert "torch" in command("predict", *words, "--run", own, cache=cache, before=NO_TORCH).stderr
    shutil.copyfile(exported / "picture.onnx", own / "exports" / "picture.onnx")
    other = load_bundle(own / "bundle")
    with torch.no_grad():
        next(iter(other.net.parameters())).add_(1)
    save_bundle(own / "bundle", other)
    assert "torch" in command("predict", *words, "--run", own, cache=cache, before=NO_TORCH).stderr


def test_of_an_export_that_is_spoilt_or_has_no_runtime_torch_answers(run, library, cache, tmp_path):
    own = shutil.copytree(run, tmp_path / "run")
    (own / "exports").mkdir()
    (own / "exports" / "picture.onnx").write_bytes(b"no model")
    words = (library / "1.wav", "--json", "--device", "cpu", "--run")
    spoilt = command("predict", *words, own, cache=cache)
    bare = command("predict", *words, DEFAULT, cache=cache, before=WITHOUT_RUNTIME)
    assert spoilt.returncode == bare.returncode == 0, spoilt.stderr + bare.stderr
    assert spoilt.stdout == bare.stdout


@pytest.mark.parametrize(("line", "form", "share"), [(1, "float16", 0.62), (2, "int8", 0.97)])
def test_rounded_weights_answer_nearly_so_and_take_less_room(bundle, exported, library, line, form, share):
    line = (exported / "said").read_text().splitlines()[line]
    file = exported / f"picture.{form}.onnx"
    assert line.startswith(f"{file}: ") and 0 < float(line.split()[-3]) <= 0.05
    assert file.stat().st_size < share * (exported / "picture.onnx").stat().st_size
    theirs, ours = torch_predictor(bundle, "none", "cpu"), Predictor(OnnxModel(file))
    assert ours.facts == theirs.facts
    for song in sorted(library.glob("[127]*.wav")):
        assert ours.predict_file(song).probabilities == pytest.approx(theirs.predict_file(song).probabilities, abs=0.05)


def test_rounded_weights_take_segments_only(exported, cache):
    done = command("export", f"run={DEFAULT}", "format=onnx-int8", "input=waveform", f"out={exported}", cache=cache)
    assert done.returncode == 2
    assert "format=onnx-int8: takes no input=waveform; give input=picture" in done.stderr


def test_its_journal_knows_rounded_weights(exported, library, cache, tmp_path):
    journal = tmp_path / "journal"
    words = (library / "1.wav", "--onnx", exported / "picture.onnx", "--json", "--journal", journal)
    first = command("predict", *words, cache=cache).stdout
    assert command("predict", *words, cache=cache).stdout == first
    assert len(journal.read_text().split()) and journal.read_text().count('"model"') == 1
    rounded = exported / "picture.int8.onnx"
    command("predict", library / "1.wav", "--onnx", rounded, "--journal", journal, cache=cache)
    assert journal.read_text().count('"model"') == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--onnx", "{none}"], "cannot be read (No such file"),
        (["--onnx", "{text}"], "is no picture.onnx of python -m genreclf.export"),
        (["--onnx", "{waveform}"], "export it with input=picture"),
        (["--onnx", "{picture}", "--tta", "flip"], "leave out --tta and --device"),
        (["--onnx", "{picture}", "--device", "cuda"], "leave out --tta and --device"),
    ],
)
def test_wrong_calls_are_one_line(exported, library, cache, tmp_path, words, message):
    (tmp_path / "text.onnx").write_text("no model")
    places = {"none": tmp_path / "no.onnx", "text": tmp_path / "text.onnx"}
    places |= {kind: exported / f"{kind}.onnx" for kind in ("picture", "waveform")}
    result = command("predict", library / "1.wav", *[word.format(**places) for word in words], cache=cache)
    assert result.returncode == 2 and result.stdout == ""
    assert len(result.stderr.splitlines()) == 1 and message in result.stderr


def test_one_of_two_models_is_to_be_chosen(exported, library, cache):
    result = command("predict", library / "1.wav", "--run", DEFAULT, "--onnx", exported / "picture.onnx", cache=cache)
    assert result.returncode == 2 and "not allowed with" in result.stderr


def test_a_missing_runtime_is_told(exported, library, cache):
    words = (library / "1.wav", "--onnx", exported / "picture.onnx")
    result = command("predict", *words, cache=cache, before=WITHOUT_RUNTIME)
    assert result.returncode == 2 and "onnxruntime is not installed; pip install onnxruntime" in result.stderr


@pytest.mark.parametrize("spoilt", ["classes", "view", "temperature", "weights_sha256", "format"])
def test_a_description_that_is_not_whole_is_refused(exported, tmp_path, spoilt):
    onnx = pytest.importorskip("onnx")
    made = onnx.load(exported / "picture.onnx")
    (described,) = made.metadata_props
    described.value = json.dumps({key: own for key, own in json.loads(described.value).items() if key != spoilt})
    onnx.save(made, tmp_path / "spoilt.onnx")
    with pytest.raises(GenreclfError, match=r"is no picture\.onnx"):
        OnnxModel(tmp_path / "spoilt.onnx")
