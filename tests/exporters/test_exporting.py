"""Exported files predict like the bundle and the Python API, describe themselves, and need only their runtime."""

import contextlib
import dataclasses
import functools
import io
import json
import math
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from bundles import quick_bundle, random_bundle
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import genreclf
from genreclf import export as export_command
from genreclf.errors import GenreclfError
from genreclf.evaluation.torch_model import TorchModel
from genreclf.exporters.bundle import Bundle, load_bundle, save_bundle, weights_sha256
from genreclf.exporters.export import export_models, max_difference
from genreclf.exporters.formats import FORMATS
from genreclf.exporters.wrappers import PictureModel, SegmentModel, WaveformModel, segment_samples
from genreclf.frontend.clip import samples_clip
from genreclf.frontend.log_mel import log_mel
from genreclf.frontend.segments import ViewConfig, column_index, downsample_index, spans, trim_silence
from genreclf.inference.model_info import ModelInfo, read_bundle_config
from genreclf.inference.predictor import Predictor, load_predictor
from genreclf.inference.run_folder import find_bundle
from genreclf.inference.temperature import apply_temperature, length_factor

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")

PICTURE_FORMATS = tuple(FORMATS)
# Picture files test the nets in all formats, and waveform files of a quick net test the front end. Other combinations
# would be slow repetitions, because the modules differ only in their net.
EXPORTED = {
    "a": {"picture": PICTURE_FORMATS, "waveform": ("torchscript",)},
    "b": {"picture": PICTURE_FORMATS, "waveform": ("torchscript",)},
    "small": {"picture": PICTURE_FORMATS},
    "quick": {"waveform": ("torchscript", "onnx", "exported_program")},
}
A, B = (pytest.param(name, marks=pytest.mark.slow) for name in "ab")  # the pretrained models
TEMPERATURE = 1.5


def music(samples: int, clips: int) -> Tensor:
    """Returns (clips, samples) float32: a new tone every half second, with a little noise."""
    random = torch.Generator().manual_seed(clips)
    tones_hz = 100 + 5_000 * torch.rand(clips, 1 + samples // 11_025, generator=random, dtype=torch.float64)
    phase = tones_hz.repeat_interleave(11_025, 1)[:, :samples].cumsum(1) * (2 * torch.pi / 22_050)
    return (0.5 * phase.sin() + 1e-3 * torch.randn(clips, samples, generator=random)).float()


def run(*words: object) -> tuple[int, list[str], str]:
    """Runs `genreclf export WORDS`; returns the exit code, the lines of standard output, and standard error."""
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            code = export_command.main([str(word) for word in words])
        except SystemExit as done:  # after --help
            code = done.code
    return code, out.getvalue().splitlines(), error.getvalue()


def small_bundle(**changes: object) -> Bundle:
    """Returns a narrow Model A with two time steps, whose logits differ between segments."""
    bundle = random_bundle("a", channels=[8, 8, 16, 16], lstm_units=[8], statistics_units=4, time_pool=8)
    return Bundle(bundle.net, replace(bundle.info, **changes))


@dataclasses.dataclass(frozen=True)
class Exports:
    bundle: Bundle
    formats: dict[str, tuple[str, ...]]  # by kind of input
    folder: Path
    lines: list[str]  # printed by the command
    error: str

    def file(self, kind: str, name: str) -> Path:
        return self.folder / f"{kind}{FORMATS[name].suffix}"


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> dict[str, Path]:
    """The folders of the small and the quick net, which have Model A's view."""
    folder, info = tmp_path_factory.mktemp("saved"), read_bundle_config(find_bundle("a")).info
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("genreclf.exporters.bundle.bundle_onnx", lambda net, digest: b"")
        for name, bundle in (("small", small_bundle), ("quick", quick_bundle)):
            view = {"view": info.view, "frames_per_column": info.frames_per_column}
            save_bundle(folder / name, bundle(name=name, **view))
    return {name: folder / name for name in ("small", "quick")}


@pytest.fixture(scope="module")
def exported(saved, tmp_path_factory) -> Callable[[str], Exports]:
    """Exports a model with the command, once, in the formats of EXPORTED. No warning may reach the user."""

    @functools.cache
    def export(name: str) -> Exports:
        folder, lines, errors = tmp_path_factory.mktemp("exports"), [], ""
        model = saved.get(name, name)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for kind, names in EXPORTED[name].items():
                code, printed, error = run(model, f"format=[{','.join(names)}]", f"input={kind}", f"out={folder}")
                assert code == 0, error
                lines, errors = lines + printed, errors + error
        return Exports(load_bundle(find_bundle(model)), EXPORTED[name], folder, lines, errors)

    return export


@pytest.fixture(params=[A, B, "small", "quick"])
def exports(request, exported) -> Exports:
    return exported(request.param)


def test_the_command_reports_each_file_and_leaves_no_other(exports):
    assert exports.error == ""
    files = [exports.file(kind, name) for kind, names in exports.formats.items() for name in names]
    assert sorted(exports.folder.iterdir()) == sorted(files)
    for line, file in zip(exports.lines, files, strict=True):
        assert line.startswith(f"{file}: {file.stat().st_size / 1e6:.1f} MB, ")
        assert 0 <= float(line.split()[-1]) <= 0.05


@pytest.mark.parametrize(
    ("name", "kind"), [("onnx-float16", onnx.TensorProto.FLOAT16), ("onnx-int8", onnx.TensorProto.INT8)]
)
def test_rounded_files_contain_rounded_weights(exported, name, kind):
    def sizes(name: str) -> Counter[int]:
        """Counts the weights by type."""
        counts: Counter[int] = Counter()
        for tensor in onnx.load(exported("small").file("picture", name)).graph.initializer:
            counts[tensor.data_type] += math.prod(tensor.dims)
        return counts

    assert sizes("onnx")[kind] == 0 and sizes(name)[kind] > 1_000


def read_metadata(file: Path) -> dict:
    if file.suffix == ".onnx":
        properties = onnx.load(file, load_external_data=False).metadata_props
        return json.loads(next(item.value for item in properties if item.key == "genreclf"))
    files = {"genreclf.json": ""}
    if file.suffix == ".pt":
        torch.jit.load(file, _extra_files=files)
    else:
        torch.export.load(file, extra_files=files)
    return json.loads(files["genreclf.json"])


@pytest.mark.parametrize("exports", [A, "small", "quick"], indirect=True)
def test_each_file_describes_itself_and_names_no_path(exports):
    for file in exports.folder.iterdir():
        kind, metadata = file.name.split(".")[0], read_metadata(file)
        assert file == exports.file(kind, metadata.pop("format"))
        assert metadata.pop("input").startswith("segments of levels" if kind == "picture" else ("clips", "segments,"))
        assert metadata == {
            "genreclf": genreclf.__version__,
            "output": "probabilities, (batch, classes)",
            "rate_hz": 22_050,
            **json.loads(json.dumps(exports.bundle.info.to_dict())),
            "weights_sha256": weights_sha256(exports.bundle),
        }
        assert file.suffix != ".onnx" or str(Path(genreclf.__file__).parent).encode() not in file.read_bytes()


@pytest.mark.parametrize("exports", [A, B, "small"], indirect=True)
@pytest.mark.parametrize("name", PICTURE_FORMATS)
def test_picture_files_predict_like_the_bundle_for_any_batch(exports, name):
    levels = torch.from_numpy(np.stack([log_mel(clip.numpy())[:, :256] for clip in music(140_000, 3)]))
    images = levels[:, None].expand(-1, 3, -1, -1)  # (3, 128, 256) -> (3, 3, 128, 256)
    batches = [images, images[:1]]
    if name == "torchscript":
        batches += [images[..., :128], images.float()]
    predict = FORMATS[name].load(exports.file("picture", name))
    for batch in batches:
        with torch.inference_mode():
            plain = exports.bundle.net(batch)[0].double().softmax(1).numpy()
        info = exports.bundle.info
        expected = apply_temperature(plain, info.temperature * length_factor(info.view.segment_frames))
        tolerance = FORMATS[name].max_difference["picture"]
        np.testing.assert_allclose(predict(batch).detach().numpy(), expected, rtol=0, atol=tolerance)
        assert len(batch) == 1 or np.abs(expected[0] - expected[1]).max() > 1e-3


@pytest.mark.parametrize("exports", [A, B, "quick"], indirect=True)
def test_waveform_files_predict_like_python(exports):
    model, fixed = exports.bundle.info.name, segment_samples(exports.bundle.info.view)
    quick = model == "quick"
    predictor = Predictor(TorchModel(exports.bundle, "cpu")) if quick else load_predictor(model, device="cpu")
    for name in exports.formats["waveform"]:
        predict = FORMATS[name].load(exports.file("waveform", name))
        cases = [(11_000, 2), (660_000, 2), (1_600_000, 1)] if FORMATS[name].any_length else [(fixed, 3), (fixed, 1)]
        for samples, clips in cases:
            waveforms = music(samples, clips)
            # An export also accepts half a second, for which Python would give no genre.
            clips_of_python = [replace(samples_clip(one.numpy(), 22_050), unsuitable="") for one in waveforms]
            expected = [predictor.predict(clip).probabilities for clip in clips_of_python]
            assert clips == 1 or np.ptp(expected, axis=0).max() > 3e-3  # three times the tolerance
            np.testing.assert_allclose(predict(waveforms).detach().numpy(), np.array(expected), rtol=0, atol=1e-3)


BLOCKED = """
import importlib.abc, json, sys

class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in NAMES:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocker())
"""
TORCH_ONLY = f"""
NAMES = "genreclf", "torchaudio", "torchvision", "timm", "lightning", "safetensors", "hydra"
{BLOCKED}
import numpy, torch
probabilities = torch.jit.load(sys.argv[1])(torch.from_numpy(numpy.load(sys.argv[2])))
assert not probabilities.requires_grad
print(json.dumps(probabilities.tolist()))
"""
ONNX_ONLY = f"""
NAMES = "genreclf", "torch", "torchaudio", "onnx", "onnxscript"
{BLOCKED}
import numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
(given,) = session.get_inputs()
print(json.dumps(session.run(None, {{given.name: numpy.load(sys.argv[2])}})[0].tolist()))
"""


@pytest.mark.parametrize(
    ("exports", "kind", "name", "program"),
    [
        ("quick", "waveform", "torchscript", TORCH_ONLY),
        ("small", "picture", "onnx", ONNX_ONLY),
        ("quick", "waveform", "onnx", ONNX_ONLY),
    ],
    indirect=["exports"],
)
def test_files_need_only_their_runtime(exports, kind, name, program, tmp_path):
    file, batch = exports.file(kind, name), music(segment_samples(exports.bundle.info.view), 2)
    if kind == "picture":
        batch = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 128, 256), np.uint8))
    np.save(tmp_path / "x.npy", batch.numpy())
    words = [sys.executable, "-I", "-c", program, file, tmp_path / "x.npy"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    expected = FORMATS[name].load(file)(batch).detach().numpy()
    np.testing.assert_allclose(json.loads(done.stdout), expected, rtol=0, atol=1e-6)


# --- The wrappers, with a quick net -----------------------------------------------------------------------------------


class Probe(nn.Module):
    """A quick net whose logits differ between segments. Works in TorchScript."""

    def forward(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        columns = levels.float().mean((1, 2))  # (B, 3, 128, 256) -> (B, 256)
        logits = torch.stack([columns[:, 0], columns[:, 100], columns[:, 255]], 1) / 50
        return logits, columns


def info_of(view: ViewConfig, frames_per_column: float = 1.0) -> ModelInfo:
    return ModelInfo("probe", ("ska", "dub", "raï"), view, 30.0, frames_per_column, TEMPERATURE)


def slow_prediction(waveform: Tensor, info: ModelInfo) -> np.ndarray:
    """(clips, samples) -> (clips, classes), computed clip by clip and segment by segment with the NumPy front end."""
    predictions = []
    for levels in map(log_mel, waveform.numpy()):
        first, _, _, frames = trim_silence(levels, levels.shape[1])
        kept = levels[:, first + downsample_index(frames, frames, info.frames_per_column)]
        probabilities = []
        for span in spans(frames, info.view):
            segment = torch.from_numpy(kept[:, column_index(kept.shape[1], frames, np.array([span]))[0]])  # (128, 256)
            probabilities.append(Probe()(segment[None, None])[0][0].double().softmax(0).numpy())
        predictions.append(apply_temperature(np.mean(probabilities, axis=0), TEMPERATURE * length_factor(frames)))
    return np.stack(predictions)


@pytest.fixture(scope="module")
def scripted() -> torch.jit.ScriptModule:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.script(WaveformModel(Probe(), info_of(ViewConfig("", 1, 1, 0.0))).eval())


@settings(max_examples=25)
@given(
    samples=st.integers(1, 60_000),
    clips=st.sampled_from([1, 2, 33]),
    segment_frames=st.integers(4, 400),
    hops_per_segment=st.integers(1, 20),
    tolerance=st.sampled_from([0.0, 0.1]),
    frames_per_column=st.sampled_from([0.5, 1.0, 2.0, 3.34, 500.0]),
)
def test_waveform_models_score_all_segments_of_any_view_in_batches(
    scripted, samples, clips, segment_frames, hops_per_segment, tolerance, frames_per_column
):
    view = ViewConfig("any", segment_frames, max(2, segment_frames // hops_per_segment), tolerance)
    info = info_of(view, frames_per_column)
    different = torch.arange(clips) % 3  # the slow prediction gets at most three clips; the others are repetitions
    waveform = music(samples, 3)
    waveform[1, : samples // 3] = 0
    waveform[1, samples // 2 :] = 0
    waveform = waveform[different]
    expected = slow_prediction(waveform[:3], info)[different.numpy()]
    model, batches = WaveformModel(Probe(), info), []
    model.net.register_forward_pre_hook(lambda _, inputs: batches.append(len(inputs[0])))
    # The two front ends may round a level differently.
    np.testing.assert_allclose(model(waveform).numpy(), expected, rtol=0, atol=2e-4)
    assert max(batches) <= 32
    lengths = [trim_silence(levels, levels.shape[1])[3] for levels in map(log_mel, waveform.numpy())]
    assert sum(batches) == sum(len(spans(frames, view)) for frames in lengths)
    scripted.frames_per_column = frames_per_column
    scripted.segment_frames, scripted.hop_frames, scripted.tolerance = segment_frames, view.hop_frames, tolerance
    torch.testing.assert_close(scripted(waveform), model(waveform), rtol=0, atol=1e-6)


@pytest.mark.parametrize("frames_per_column", [1.0, 3.34, 500.0])
def test_a_segment_model_is_the_waveform_model_on_one_segment(frames_per_column):
    info = info_of(ViewConfig("any", 300, 100, 0.0), frames_per_column)
    waveform = music(segment_samples(info.view), 3)
    found, expected = (model(Probe(), info)(waveform) for model in (SegmentModel, WaveformModel))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("segment_frames", "factor"), [(1_292, 1), (430, (1_292 / 430) ** 0.15)])
def test_probabilities_are_the_softmax_of_logits_over_the_temperature_for_that_length(segment_frames, factor):
    levels = torch.randint(256, (4, 3, 128, 256), dtype=torch.uint8)
    expected = (Probe()(levels)[0].double() / (TEMPERATURE * factor)).softmax(1).float()
    info = info_of(ViewConfig("any", segment_frames, 100, 0.0))
    torch.testing.assert_close(PictureModel(Probe(), info)(levels), expected)


@pytest.mark.parametrize("name", ["svm", "majority"])
def test_baselines_export_to_all_formats(name, tmp_path):
    found = export_models(random_bundle(name), list(FORMATS), "picture", tmp_path)
    for form, (path, difference) in zip(FORMATS.values(), found, strict=True):
        assert path.is_file() and difference <= form.max_difference["picture"]


# --- Refusals ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def several_labels() -> Bundle:
    return quick_bundle(task="multilabel", thresholds=(0.2, 0.5, 0.6))


def test_multilabel_files_predict_like_python(several_labels, tmp_path):
    predictor = Predictor(TorchModel(several_labels, "cpu"))
    waveform = music(140_000, 3)
    list(export_models(several_labels, ["torchscript"], "waveform", tmp_path))
    clips = [predictor.predict(samples_clip(one, 22_050)).probabilities for one in waveform.numpy()]
    np.testing.assert_allclose(FORMATS["torchscript"].load(tmp_path / "waveform.pt")(waveform), clips, atol=1e-4)
    names = ["onnx", "exported_program"]
    list(export_models(several_labels, names, "picture", tmp_path))
    levels = torch.from_numpy(np.stack([log_mel(clip.numpy())[:, :256] for clip in waveform]))
    levels = levels[:, None].expand(-1, 3, -1, -1)  # (3, 128, 256) -> (3, 3, 128, 256)
    expected = (several_labels.net(levels)[0].double() / several_labels.info.temperature).sigmoid().numpy()
    assert np.abs(expected.sum(1) - 1).min() > 0.01
    for form in map(FORMATS.__getitem__, names):
        found = form.load(tmp_path / f"picture{form.suffix}")(levels)
        np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-4)
    described = read_metadata(tmp_path / "waveform.pt")
    assert (described["task"], described["thresholds"]) == ("multilabel", [0.2, 0.5, 0.6])
    assert "thresholds" in described["output"]


def probe_bundle(net: nn.Module) -> Bundle:
    return Bundle(net.eval(), info_of(ViewConfig("crop", 256, 128, 0.0)))


class Unexportable(Probe):
    """A net that branches on the values of its input."""

    def forward(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        logits, columns = super().forward(levels)
        return (logits if float(levels.float().sum()) > 0 else -logits), columns


@pytest.mark.parametrize("name", ["onnx", "exported_program"])
def test_a_net_that_a_format_cannot_represent_is_refused(name, tmp_path):
    with pytest.raises(GenreclfError, match=rf"^format={name}: .*probe.*torchscript$"):
        list(export_models(probe_bundle(Unexportable()), [name], "picture", tmp_path))
    assert not list(tmp_path.iterdir())


class NotANumber(Probe):
    """A net whose logits are NaN."""

    def forward(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        return torch.full([len(levels), 3], torch.nan), levels


def test_a_file_that_differs_from_the_bundle_is_not_written(tmp_path):
    path = tmp_path / "picture.pt"
    path.write_text("an older file")
    with pytest.raises(GenreclfError, match=rf"^{path}: not written.*nan"):
        list(export_models(probe_bundle(NotANumber()), ["torchscript"], "picture", tmp_path))
    assert [file.read_text() for file in tmp_path.iterdir()] == ["an older file"]


class Shifted(Probe):
    """A net with other logits."""

    def forward(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        logits, columns = super().forward(levels)
        return logits + torch.tensor([1.0, 0.0, 0.0]), columns


@pytest.mark.parametrize("kind", ["picture", "waveform"])
def test_the_difference_of_file_and_bundle_is_measured(kind, tmp_path):
    bundle = probe_bundle(Probe())
    ((path, difference),) = export_models(bundle, ["torchscript"], kind, tmp_path)
    assert difference == max_difference(bundle, "torchscript", kind, path) <= 1e-6
    assert 0.01 < max_difference(probe_bundle(Shifted()), "torchscript", kind, path) < 1


def test_a_folder_that_cannot_be_written_is_named(saved, tmp_path):
    (tmp_path / "file").touch()
    assert f"{tmp_path / 'file'}: " in error_of(saved["quick"], "format=torchscript", f"out={tmp_path / 'file'}")


def error_of(*words: object) -> str:
    """Returns the error line of a call that must fail."""
    code, out, error = run(*words)
    assert (code, out) == (2, []) and error.startswith("genreclf: ") and error.count("\n") == 1
    return error


def test_wrong_calls_name_the_word_and_the_remedy(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert "RUN" in error_of()
    assert "nowhere" in error_of("nowhere") and "2026" in error_of("2026")
    assert "genreclf export RUN" in error_of("a", "run=b")
    for name in ("onnx-float16", "onnx-int8"):
        message = error_of("a", f"format={name}")
        assert f"format={name}: " in message and "input=waveform" in message and "input=picture" in message
    for wrong, nearest in (
        ("input=[audio]", "waveform"),
        ("input=[]", "waveform"),
        ("input=pictures", "'picture'"),
        ("format=onx", "'onnx'"),
        ("format=tflite", "torchscript"),
        ("inputs=picture", "'input'"),
    ):
        message = error_of("a", wrong)
        assert wrong.split("=")[0] in message and nearest in message, message
    assert list(tmp_path.iterdir()) == []


def test_files_go_to_the_run_or_to_exports_for_a_pretrained_model(monkeypatch, tmp_path):
    """Only ./a means a folder that has the name of a pretrained model."""
    folders = []

    def record(bundle, names, kind, folder):
        folders.append(folder)
        return ()

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(export_command, "export_models", record)
    (tmp_path / "a").symlink_to(find_bundle("b"))
    for model in ("a", "./a", tmp_path / "a"):
        assert run(model, "input=picture")[0] == 0
    assert folders == [Path("exports/a"), Path("a/exports"), tmp_path / "a" / "exports"]


def test_help_fits_one_screen_and_its_models_exist():
    code, lines, _ = run("--help")
    assert code == 0 and len(lines) <= 34 and max(map(len, lines)) <= 120
    text = "\n".join(lines)
    assert all(word in text for word in ("RUN", "input", "out", "genreclf.json", *FORMATS))
    examples = [line.split()[2] for line in lines if line.strip().startswith("genreclf export")]
    assert len(examples) == 4
    for model in examples:
        assert model == "RUN" or find_bundle(model).is_dir()
