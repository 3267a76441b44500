import dataclasses
import json
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import command
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from torch import Tensor, nn

import genreclf
from genreclf.config import build, config_folder
from genreclf.errors import GenreclfError
from genreclf.export import main
from genreclf.exporters.export import check_parity, export_models
from genreclf.exporters.formats import FORMATS
from genreclf.exporters.torch_log_mel import LogMelSpectrogram
from genreclf.exporters.torch_segments import column_index, cut
from genreclf.exporters.wrappers import PictureModel, SegmentModel, WaveformModel, samples_of
from genreclf.frontend.segments import ViewConfig, spans
from genreclf.nets.bundle import Bundle, save_bundle, weights_sha256
from genreclf.nets.classifier import GenreClassifier
from genreclf.nets.config import ModelConfig

CLASSES = ("ska", "dub", "raï")
# These tests compare more than an export does, whose own default stays where the pretrained_names models are exported.
ONE_BATCH = "from genreclf.exporters import export; export.PARITY_BATCHES = (2,)"
ALONE = """
import importlib.abc, json, sys

class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"genreclf", "torchaudio", "torchvision", "timm", "lightning", "safetensors", "hydra"}:
            raise ImportError(f"{name} is not to be had here")

sys.meta_path.insert(0, Blocker())
import torch
metadata = {"genreclf.json": ""}
model = torch.jit.load(sys.argv[1], _extra_files=metadata)
answer = model(torch.load(sys.argv[2], weights_only=True))
print(json.dumps([json.loads(metadata["genreclf.json"])["classes"], answer.tolist(), answer.requires_grad]))
"""


def of_yaml(group: str, name: str) -> dict:
    return OmegaConf.to_container(OmegaConf.load(config_folder() / group / f"{name}.yaml"))


def music(seconds: float, clips: int) -> Tensor:
    """(clips, samples) float32: a new tone every half second, over a little noise."""
    random = torch.Generator().manual_seed(clips)
    samples = int(seconds * 22_050)
    tones_hz = 100 + 5_000 * torch.rand(clips, 1 + samples // 11_025, generator=random, dtype=torch.float64)
    phase = tones_hz.repeat_interleave(11_025, 1)[:, :samples].cumsum(1) * (2 * torch.pi / 22_050)
    return (0.5 * phase.sin() + 1e-3 * torch.randn(clips, samples, generator=random)).float()


def random_bundle(name: str, view: str, frames_per_column: float) -> Bundle:
    """A net of random weights whose batch norms know some music, and whose logits for it have a spread of about 1."""
    torch.manual_seed(0)
    net = GenreClassifier(build(ModelConfig, {**of_yaml("model", name)["net"], "num_classes": len(CLASSES)}, "net"))
    for module in net.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.momentum = None  # the statistics become those of the next batch
    images = LogMelSpectrogram()(music(5.95, 4))[:, None, :, :256].expand(-1, 3, -1, -1)  # (4, 3, 128, 256)
    with torch.no_grad():
        net.train()(images)
        net.head[-1].weight.div_(net.eval()(images)[0].std())
    view = build(ViewConfig, of_yaml("view", view), "view")
    return Bundle(net.eval(), name, CLASSES, view, 30.0, frames_per_column, TEMPERATURE)


class Probe(nn.Module):
    """A net in a net's place, quick, and with another answer for every segment; scripts."""

    def forward(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        columns = levels.float().mean((1, 2))  # (B, 256)
        logits = torch.stack([columns[:, 0], columns[:, 100], columns[:, 255]], 1) / 50
        return logits, columns


TEMPERATURE = 1.5


def cooled(probabilities: Tensor) -> Tensor:
    """(N, classes) -> the same, apply_temperature, in double precision."""
    powers = probabilities.double() ** (1 / TEMPERATURE)
    return (powers / powers.sum(1, keepdim=True)).float()


def heard(clip: Tensor) -> Tensor:
    """(samples,) -> (1, 128, frames) levels without silence at the ends."""
    levels = LogMelSpectrogram()(clip[None])  # (1, 128, frames)
    loud = np.flatnonzero(levels[0].amax(0).numpy())
    return levels[:, :, loud[0] : loud[-1] + 1] if len(loud) else levels


def by_hand(net: nn.Module, view: ViewConfig, waveform: Tensor, frames_per_column: float = 1.0) -> Tensor:
    """What a waveform model is to answer: clip by clip, segment by segment, in double precision."""
    answers = []
    with torch.inference_mode():
        for clip in waveform:
            levels = heard(clip)
            frames = levels.shape[2]
            kept = max(1, int(frames / frames_per_column + 0.5))
            levels = levels[:, :, [min(frames - 1, int((k + 0.5) * frames_per_column)) for k in range(kept)]]
            numbers, segments = (torch.tensor([kept]), torch.tensor([frames])), []
            for start, length in spans(frames, view):
                segment = cut(levels, column_index(*numbers, torch.tensor([start]), torch.tensor([length])))
                segments.append(net(segment[:, None].expand(-1, 3, -1, -1))[0][0].double().softmax(0))
            answers.append(sum(segments) / len(segments))
    return cooled(torch.stack(answers))


@dataclass(frozen=True)
class Exported:
    """A bundle, the folder of its files, and by kind what these hold, in the state of a process that opened them."""

    bundle: Bundle
    folder: Path
    loaded: dict[str, torch.jit.ScriptModule]
    metadata: dict[str, dict]


def opened(bundle: Bundle, folder: Path) -> Exported:
    loaded, metadata = {}, {}
    for kind in ("picture", "waveform"):
        files = {"genreclf.json": ""}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="`torch.jit.load` is deprecated", category=DeprecationWarning)
            loaded[kind] = torch.jit.load(folder / f"{kind}.pt", _extra_files=files)
        metadata[kind] = json.loads(files["genreclf.json"])
    return Exported(bundle, folder, loaded, metadata)


@pytest.fixture(scope="module")
def model_a(tmp_path_factory) -> Exported:
    """Model A, whole clips, exported by the functions; no warning of torch may reach the user."""
    bundle, folder = random_bundle("a", "whole", 1.0), tmp_path_factory.mktemp("a") / "new"
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("error")
        patch.setattr("genreclf.exporters.export.PARITY_BATCHES", (2,))
        for kind in ("picture", "waveform"):
            ((path, difference),) = export_models(bundle, ["torchscript"], kind, folder)
            assert path == folder / f"{kind}.pt" and 0 <= difference <= 1e-4
    return opened(bundle, folder)


@pytest.fixture(scope="module")
def model_b(tmp_path_factory) -> Exported:
    """Model B, segments of 5.94 s, exported by the command as a user types it, from an empty folder."""
    bundle, run, here = random_bundle("b", "crop", 3.34), tmp_path_factory.mktemp("b"), tmp_path_factory.mktemp("here")
    save_bundle(run / "bundle", bundle)
    done = command("export", f"run={run}", cache=here, before=ONE_BATCH)
    assert (done.returncode, done.stderr) == (0, "")
    for line, kind in zip(done.stdout.splitlines(), ("picture", "waveform"), strict=True):
        path = run / "exports" / f"{kind}.pt"
        start, difference = line.removesuffix(" at most").rsplit(" ", 1)
        assert start == f"{path}: {path.stat().st_size / 1e6:.1f} MB, differs from the run by"
        assert 0 <= float(difference) <= 1e-4
    assert list(here.iterdir()) == []
    return opened(bundle, run / "exports")


@pytest.fixture(params=["model_a", "model_b"])
def exported(request) -> Exported:
    return request.getfixturevalue(request.param)


def test_only_whole_files_remain(exported):
    assert sorted(path.name for path in exported.folder.iterdir()) == ["picture.pt", "waveform.pt"]


def test_a_file_describes_itself(exported):
    bundle = exported.bundle
    for kind, start in (("picture", "segments"), ("waveform", "clips")):
        metadata = dict(exported.metadata[kind])
        assert metadata.pop("input").startswith(start)
        assert metadata == {
            "genreclf": genreclf.__version__,
            "model": bundle.name,
            "format": "torchscript",
            "classes": list(CLASSES),
            "output": "probabilities, (batch, classes)",
            "rate_hz": 22_050,
            "view": dataclasses.asdict(bundle.view),
            "picture_seconds": 30.0,
            "frames_per_column": bundle.frames_per_column,
            "temperature": TEMPERATURE,
            "weights_sha256": weights_sha256(bundle),
        }


def test_picture_files_answer_as_the_net(exported):
    levels = LogMelSpectrogram()(music(6.0, 3))[:, None, :, :256].expand(-1, 3, -1, -1)  # (3, 3, 128, 256)
    for images in (levels[:1], levels, levels[:2, ..., :128], levels.float()):
        with torch.inference_mode():
            expected = cooled(exported.bundle.net(images)[0].double().softmax(1))
        torch.testing.assert_close(exported.loaded["picture"](images), expected, rtol=0, atol=1e-4)
    assert (expected[0] - expected[1]).abs().max() > 1e-3


@pytest.mark.parametrize(("seconds", "clips"), [(0.5, 3), (6.0, 2), (30.0, 2), (75.0, 1)])
def test_waveform_files_answer_as_the_net_on_each_segment(exported, seconds, clips):
    waveform = music(seconds, clips)
    expected = by_hand(exported.bundle.net, exported.bundle.view, waveform, exported.bundle.frames_per_column)
    torch.testing.assert_close(exported.loaded["waveform"](waveform), expected, rtol=0, atol=1e-4)
    assert clips == 1 or (expected[0] - expected[1]).abs().max() > 1e-3


def test_files_need_torch_alone(model_b, tmp_path):
    clips = music(7.0, 2)
    torch.save(clips, tmp_path / "clips")
    command = [sys.executable, "-I", "-c", ALONE, model_b.folder / "waveform.pt", tmp_path / "clips"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    classes, answer, requires_grad = json.loads(done.stdout)
    assert classes == list(CLASSES) and not requires_grad
    expected = by_hand(model_b.bundle.net, model_b.bundle.view, clips, 3.34)
    torch.testing.assert_close(torch.tensor(answer), expected, rtol=0, atol=1e-4)


ONNX_ALONE = """
import importlib.abc, json, sys

class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"genreclf", "torch", "torchaudio", "onnx", "onnxscript"}:
            raise ImportError(f"{name} is not to be had here")

sys.meta_path.insert(0, Blocker())
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
(given,) = session.get_inputs()
described = json.loads(session.get_modelmeta().custom_metadata_map["genreclf"])
print(json.dumps([described, session.run(None, {given.name: np.load(sys.argv[2])})[0].tolist()]))
"""


@pytest.fixture(scope="module")
def fixed(tmp_path_factory) -> tuple[Bundle, Path]:
    """A quick net in the formats whose waveforms are of one length."""
    bundle = dataclasses.replace(random_bundle("a", "crop", 3.34), net=Probe())
    folder = tmp_path_factory.mktemp("fixed")
    made = dict(export_models(bundle, ["onnx", "exported_program"], "waveform", folder))
    assert list(made) == [folder / "waveform.onnx", folder / "waveform.pt2"] and max(made.values()) <= 1e-4
    return bundle, folder


@pytest.mark.parametrize(("form", "tolerance"), [("onnx", 1e-4), ("exported_program", 1e-5)])
def test_fixed_formats_answer_as_the_net_for_any_batch(fixed, form, tolerance):
    """onnxruntime's transform differs in the last digit: a level in 50,000 is rounded the other way."""
    bundle, folder = fixed
    opened = FORMATS[form].open(folder / f"waveform{FORMATS[form].suffix}")
    for batch in (1, 2, 5):
        waveform = music(10.0, batch)[:, : samples_of(bundle.view)]
        expected = by_hand(bundle.net, bundle.view, waveform, bundle.frames_per_column)
        torch.testing.assert_close(opened(waveform), expected, rtol=0, atol=tolerance)
        assert batch == 1 or (expected[0] - expected[1]).abs().max() > 0.01


@pytest.mark.parametrize("form", ["onnx", "exported_program"])
def test_pictures_of_any_batch(form, monkeypatch, tmp_path, model_a):
    probe = PictureModel(Probe(), TEMPERATURE)
    monkeypatch.setattr("genreclf.exporters.export._model", lambda bundle, form, kind: probe)
    ((path, difference),) = export_models(model_a.bundle, [form], "picture", tmp_path)
    assert difference <= 1e-5
    levels = torch.randint(256, (7, 3, 128, 256), dtype=torch.uint8)
    torch.testing.assert_close(FORMATS[form].open(path)(levels), probe(levels), rtol=0, atol=1e-5)


def test_onnx_files_need_onnxruntime_and_numpy_alone(fixed, tmp_path):
    bundle, folder = fixed
    waveform = music(10.0, 2)[:, : samples_of(bundle.view)]
    np.save(tmp_path / "x.npy", waveform.numpy())
    words = [sys.executable, "-I", "-c", ONNX_ALONE, folder / "waveform.onnx", tmp_path / "x.npy"]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    described, answer = json.loads(done.stdout)
    assert described["classes"] == list(CLASSES) and described["weights_sha256"] == weights_sha256(bundle)
    assert str(samples_of(bundle.view)) in described["input"]
    expected = by_hand(bundle.net, bundle.view, waveform, bundle.frames_per_column)
    torch.testing.assert_close(torch.tensor(answer), expected, rtol=0, atol=1e-4)


def test_programs_carry_their_description(fixed):
    _, folder = fixed
    files = {"genreclf.json": ""}
    torch.export.load(folder / "waveform.pt2", extra_files=files)
    assert json.loads(files["genreclf.json"])["classes"] == list(CLASSES)


@pytest.mark.parametrize("frames_per_column", [1.0, 3.34, 500.0])
def test_a_segment_model_is_the_waveform_model_on_one_segment(frames_per_column):
    view = ViewConfig("any", 300, 100, 0.0)
    waveform = music(8.0, 3)[:, : samples_of(view)]
    made = (kind(Probe(), view, frames_per_column, TEMPERATURE) for kind in (SegmentModel, WaveformModel))
    ours, theirs = (model(waveform) for model in made)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_a_package_that_is_missing_is_named(monkeypatch, capsys, tmp_path, bundle_folder):
    monkeypatch.setitem(sys.modules, "onnx", None)
    message = error_of(monkeypatch, capsys, f"run={bundle_folder}", "format=onnx", f"out={tmp_path}")
    assert message == "format=onnx: onnx is not installed; pip install 'genreclf[onnx]'\n"


class Unexportable(Probe):
    """Asks for the values of its input."""

    def forward(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        logits, columns = super().forward(levels)
        return (logits if float(levels.float().sum()) > 0 else -logits), columns


@pytest.mark.parametrize("form", ["onnx", "exported_program"])
def test_a_net_that_a_format_cannot_hold_is_told_in_one_line(form, monkeypatch, tmp_path, model_a):
    made = PictureModel(Unexportable(), 1.0)
    monkeypatch.setattr("genreclf.exporters.export._model", lambda bundle, form, kind: made)
    with pytest.raises(GenreclfError, match=rf"^format={form}: cannot hold model a \(.*\); use torchscript$"):
        list(export_models(model_a.bundle, [form], "picture", tmp_path))
    assert not list(tmp_path.iterdir())


def test_parity_finds_the_difference(monkeypatch, model_a):
    """The file's net has another last layer than the bundle's."""
    monkeypatch.setattr("genreclf.exporters.export.PARITY_BATCHES", (1,))
    path, bundle = model_a.folder / "picture.pt", random_bundle("a", "whole", 1.0)
    assert check_parity(bundle, "torchscript", "picture", path) <= 1e-6
    with torch.no_grad():
        bundle.net.head[-1].bias.add_(torch.tensor([1e3, 0, 0]))  # every answer becomes (1, 0, 0)
    assert 0.01 < check_parity(bundle, "torchscript", "picture", path) <= 1


class BrokenProbe(Probe):
    """Answers nothing."""

    def forward(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        return torch.full([len(levels), 3], torch.nan), levels


def test_a_file_that_answers_otherwise_is_not_written(monkeypatch, tmp_path, model_a):
    monkeypatch.setattr("genreclf.exporters.export._model", lambda bundle, form, kind: PictureModel(BrokenProbe(), 1.0))
    path = tmp_path / "picture.pt"
    path.write_text("an older one")
    with pytest.raises(GenreclfError, match=rf"^{path}: not written: its answers differ by nan from"):
        list(export_models(model_a.bundle, ["torchscript"], "picture", tmp_path))
    assert [file.read_text() for file in tmp_path.iterdir()] == ["an older one"]


@pytest.fixture(scope="module")
def scripted() -> torch.jit.ScriptModule:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.script(WaveformModel(Probe(), ViewConfig("", 1, 1, 0.0), 1.0, TEMPERATURE).eval())


@settings(max_examples=30, deadline=None)
@given(
    samples=st.integers(1, 60_000),
    clips=st.sampled_from([1, 2, 5, 33]),
    segment_frames=st.integers(4, 400),
    hops_a_segment=st.integers(1, 20),
    tolerance=st.sampled_from([0.0, 0.1]),
    frames_per_column=st.sampled_from([0.5, 1.0, 2.0, 3.34, 500.0]),
)
def test_any_view_scores_all_segments_in_bounded_pieces(
    scripted, samples, clips, segment_frames, hops_a_segment, tolerance, frames_per_column
):
    hop_frames = max(2, segment_frames // hops_a_segment)
    view = ViewConfig("any", segment_frames, hop_frames, tolerance)
    different = torch.arange(clips) % 3  # by hand is slow: more than three clips are repeats
    waveform = music((samples + 0.5) / 22_050, 3)
    waveform[1, : samples // 3] = 0
    waveform[1, samples // 2 :] = 0
    waveform = waveform[different]
    expected = by_hand(Probe(), view, waveform[:3], max(1.0, frames_per_column))[different]
    model, images = WaveformModel(Probe(), view, frames_per_column, TEMPERATURE), []
    model.net.register_forward_pre_hook(lambda _, inputs: images.append(len(inputs[0])))
    torch.testing.assert_close(model(waveform), expected, rtol=0, atol=1e-5)
    assert max(images) <= 32
    assert sum(images) == sum(len(spans(heard(clip).shape[2], view)) for clip in waveform)
    scripted.frames_per_column = frames_per_column
    scripted.segment_frames, scripted.hop_frames, scripted.tolerance = segment_frames, hop_frames, tolerance
    torch.testing.assert_close(scripted(waveform), expected, rtol=0, atol=1e-5)


def test_probabilities_are_the_softmax_of_the_tempered_logits():
    levels = torch.randint(256, (4, 3, 128, 256), dtype=torch.uint8)
    exponentials = (Probe()(levels)[0].double() / TEMPERATURE).exp()
    expected = (exponentials / exponentials.sum(1, keepdim=True)).float()
    torch.testing.assert_close(PictureModel(Probe(), TEMPERATURE)(levels), expected)


@pytest.fixture(scope="module")
def bundle_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("c")
    save_bundle(folder, random_bundle("a", "whole", 1.0))
    return folder


def error_of(monkeypatch, capsys, *arguments: str) -> str:
    """Runs the command where it must fail; returns its one line on stderr."""
    monkeypatch.setattr(sys, "argv", ["genreclf.export", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    out, err = capsys.readouterr()
    assert caught.value.code == 2 and out == ""
    assert err.startswith("genreclf: ") and err.count("\n") == 1
    return err.removeprefix("genreclf: ")


def test_mistakes_in_the_call_are_told_in_one_line(monkeypatch, capsys, tmp_path, bundle_folder):
    monkeypatch.chdir(tmp_path)
    run = f"run={bundle_folder}"
    assert error_of(monkeypatch, capsys).startswith("run: needs a value")
    assert error_of(monkeypatch, capsys, "run=nowhere").startswith("run=nowhere: is no run folder; give")
    assert error_of(monkeypatch, capsys, "run=2026").startswith("run=2026: is no run folder; give")
    assert "input=['audio']: give picture or waveform" in error_of(monkeypatch, capsys, run, "input=[audio]")
    assert "give picture or waveform" in error_of(monkeypatch, capsys, run, "input=[]")
    assert "format=tflite: give torchscript or onnx or" in error_of(monkeypatch, capsys, run, "format=tflite")
    assert "did you mean 'input'?" in error_of(monkeypatch, capsys, run, "inputs=picture")
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_cannot_be_written_is_named(monkeypatch, capsys, tmp_path, bundle_folder):
    monkeypatch.setattr(
        "genreclf.exporters.export._model", lambda bundle, form, kind: PictureModel(Probe(), TEMPERATURE)
    )
    (tmp_path / "file").touch()
    message = error_of(monkeypatch, capsys, f"run={bundle_folder}", "input=picture", f"out={tmp_path / 'file'}")
    assert message.startswith(f"{tmp_path / 'file' / 'picture.pt'}: cannot be written (")


def test_help_fits_one_screen(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["genreclf.export", "--help"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert not caught.value.code
    text = capsys.readouterr().out
    assert len(text.splitlines()) <= 32 and max(map(len, text.splitlines())) <= 120
    assert all(word in text for word in ("onnx", "run", "input", "format", "out", "genreclf.json"))
