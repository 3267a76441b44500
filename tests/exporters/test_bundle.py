import dataclasses
import hashlib
import json
import pickle
from pathlib import Path

import pytest
import torch
from bundles import random_bundle
from safetensors.torch import load_file, save_file

from genreclf.errors import GenreclfError
from genreclf.exporters import bundle as bundles
from genreclf.exporters.bundle import Bundle, load_bundle, round_to_fp16, save_bundle, weights_sha256
from genreclf.inference.model_info import FORMATS


@pytest.fixture(scope="module", autouse=True)
def no_translation():
    """Skips the translation to ONNX, which takes long and which other tests cover."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundles, "bundle_onnx", lambda net, digest: b"onnx")
        yield


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("a") / "bundle"
    save_bundle(folder, random_bundle("a"))
    return folder


@pytest.fixture
def folder(saved, tmp_path) -> Path:
    """A bundle to damage: config.json is a copy, the weights are a link."""
    (tmp_path / "config.json").write_bytes((saved / "config.json").read_bytes())
    (tmp_path / "model.safetensors").symlink_to(saved / "model.safetensors")
    return tmp_path


def changed(folder: Path, key: str, value: object) -> Path:
    """Sets one value in the folder's config.json. "view.hop_frames" is a nested key."""
    config = json.loads((folder / "config.json").read_text())
    *parents, last = key.split(".")
    place = config
    for parent in parents:
        place = place[parent]
    place[last] = value
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def with_weights(folder: Path, tensors: dict[str, torch.Tensor]) -> Path:
    (folder / "model.safetensors").unlink()
    save_file(tensors, folder / "model.safetensors")
    return folder


def refused(folder: Path, file: str) -> str:
    with pytest.raises(GenreclfError) as caught:
        load_bundle(folder)
    message = str(caught.value)
    assert message.startswith(f"{folder / file}: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", ["a", "b", "svm", "majority"])
def test_a_round_trip_keeps_every_bit(tmp_path, name):
    bundle = random_bundle(name)
    save_bundle(tmp_path / "new" / "folder", bundle)
    loaded = load_bundle(tmp_path / "new" / "folder")

    before, after = bundle.net.state_dict(), loaded.net.state_dict()
    assert list(before) == list(after)
    for key, tensor in before.items():
        assert torch.equal(tensor, after[key]) and tensor.dtype == after[key].dtype, key
        assert tensor.stride() == after[key].stride(), key  # channels_last, where it was so
    assert [p.requires_grad for p in bundle.net.parameters()] == [p.requires_grad for p in loaded.net.parameters()]
    assert loaded.net.config == bundle.net.config and not any(m.training for m in loaded.net.modules())
    assert loaded.info == bundle.info
    levels = torch.randint(256, (1, 3, 128, 256), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(loaded.net(levels)[0], bundle.net(levels)[0])


def test_loading_draws_no_random_number(saved):
    state = torch.get_rng_state()
    load_bundle(saved)
    assert torch.equal(torch.get_rng_state(), state)


def test_saving_again_replaces_all_files(tmp_path):
    first = random_bundle("a")
    save_bundle(tmp_path, first)
    net = random_bundle("a").net
    with torch.no_grad():
        net.head[0].bias.add_(1)
    save_bundle(tmp_path, Bundle(net, dataclasses.replace(first.info, name="second")))
    assert load_bundle(tmp_path).info.name == "second"
    assert torch.equal(load_bundle(tmp_path).net.head[0].bias, net.head[0].bias)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.onnx", "model.safetensors"]


def test_weights_rounded_to_float16_halve_the_file_and_keep_every_bit(saved, tmp_path):
    bundle = random_bundle("a")
    exact = {name: tensor.clone() for name, tensor in bundle.net.state_dict().items()}
    round_to_fp16(bundle.net)
    save_bundle(tmp_path, bundle)
    loaded = load_bundle(tmp_path)
    for name, tensor in loaded.net.state_dict().items():
        assert tensor.dtype == exact[name].dtype and torch.equal(tensor, bundle.net.state_dict()[name])
        torch.testing.assert_close(tensor, exact[name], rtol=2**-11, atol=2**-24)
    size, whole = ((folder / "model.safetensors").stat().st_size for folder in (tmp_path, saved))
    assert size < 0.55 * whole
    assert weights_sha256(loaded) == hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).hexdigest()


def test_weights_beyond_float16_are_not_rounded():
    net = random_bundle("a").net
    with torch.no_grad():
        net.head[0].bias[1] = 70_000
    with pytest.raises(GenreclfError, match=r"fp16_weights=true: head.0.bias.*fp16_weights=false"):
        round_to_fp16(net)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named(folder, file):
    (folder / file).unlink()
    assert "No such file" in refused(folder, file)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\xfe\xff", "cannot be read"),
        (b"[" * 90_000, "cannot be read"),
        (b" " * 100_001, "larger than 100000 bytes"),
        (b"[1]", "not a JSON object"),
    ],
)
def test_a_config_that_is_no_json_object_is_refused(folder, content, reason):
    (folder / "config.json").write_bytes(content)
    assert reason in refused(folder, "config.json")


def test_a_newer_format_is_refused_whatever_else_it_holds(folder):
    newer = max(FORMATS.values()) + 1
    (folder / "config.json").write_text(json.dumps({"format": newer, "layers": []}))
    message = refused(folder, "config.json")
    assert str(newer) in message and "update genreclf" in message


@pytest.mark.parametrize("content", [{}, {"model_type": "bert"}, {"format": "pt"}, {"format": None}])
def test_a_configuration_of_another_program_is_named_as_such(content, folder):
    (folder / "config.json").write_text(json.dumps(content))
    assert "genreclf model" in refused(folder, "config.json")


def test_an_older_format_is_refused(folder):
    assert "train" in refused(changed(folder, "format", 6), "config.json")


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("classes", "rock", "classes='rock'"),
        ("classes", ["ska", 1, "dub"], "expected text"),
        ("classes", ["ska", "dub"], "net.num_classes=3, 2 classes"),
        ("classes", ["ska", "ska", "dub"], "different names"),
        ("picture_seconds", "30", "picture_seconds='30'"),
        ("picture_seconds", 1e300, "picture_seconds=1e+300"),
        ("frames_per_column", 0.0, "frames_per_column=0.0"),
        ("temperature", float("nan"), "temperature=nan"),
        ("temperature", 0.01, "temperature=0.01"),
        ("shares", [0.5, float("nan"), 0.5], "shares=[0.5, nan, 0.5]"),
        ("kind", "forest", "classifier, svm, majority"),
        ("kind", "svm", "net.attention_heads"),
        ("view", None, "view=null"),
        ("view.hop_frames", 0, "view.hop_frames=0"),
        ("view.segment_frames", -1, "view.segment_frames=-1"),
        ("view.segment_frames", 10**30, "view.segment_frames=1"),
        ("view.stride", 1, "view.stride"),
        ("weights_sha256", None, "weights_sha256"),
        ("net", [], "net=[]"),
        ("net.backbone", "transformer", "cnn or efficientnet"),
        ("net.time_pool", 100_000, "net.time_pool=100000"),
        ("net.lstm_units", [-4], "lstm_units=[-4]"),
        ("net.lstm_units", [10**30], "damaged"),
        ("net.head_units", [0.5, 128], "net.head_units=0.5"),
    ],
)
def test_a_damaged_value_is_named(folder, key, value, reason):
    message = refused(changed(folder, key, value), "config.json")
    assert reason in message and ("copy" in message or "damaged" in message)


def test_a_net_too_large_for_any_memory_is_refused_before_it_is_made(folder):
    """A net with 10^7 hidden units would take 1.6 petabytes."""
    changed(folder, "net.lstm_units", [10**7, 64])
    assert "instead of [40000000]" in refused(folder, "model.safetensors")


def test_weights_that_do_not_fit_are_named(folder, saved):
    tensors = load_file(saved / "model.safetensors")
    name = "attention.hidden.bias"
    damaged = {
        f"1 missing (first: {name})": {key: value for key, value in tensors.items() if key != name},
        "1 unknown (first: extra)": {**tensors, "extra": torch.zeros(1)},
        f"(first: {name}, [127] instead of [128])": {**tensors, name: tensors[name][1:].clone()},
        f"tensor {name!r} has values that are not finite": {**tensors, name: torch.full((128,), torch.inf)},
    }
    for reason, weights in damaged.items():
        assert reason in refused(with_weights(folder, weights), "model.safetensors")


def test_a_folder_in_place_of_the_weights_is_told(folder):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").mkdir()
    assert "Is a directory" in refused(folder, "model.safetensors")


@pytest.mark.parametrize("size", [0, 7, 5_000, -1])
def test_cut_off_weights_are_refused(folder, saved, size):
    content = (saved / "model.safetensors").read_bytes()
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").write_bytes(content[:size])
    assert "cannot be read" in refused(folder, "model.safetensors")


class Trap:
    """An object whose pickle runs code when it is loaded."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self):
        return Path.touch, (self.sprung,)


@pytest.mark.parametrize("write", [torch.save, lambda trap, path: path.write_bytes(pickle.dumps(trap))])
def test_a_pickle_in_place_of_the_weights_is_refused_and_not_run(folder, write):
    path, sprung = folder / "model.safetensors", folder / "sprung"
    path.unlink()
    write(Trap(sprung), path)
    assert "cannot be read" in refused(folder, "model.safetensors")
    assert not sprung.exists()
    torch.load(path, weights_only=False) if write is torch.save else pickle.loads(path.read_bytes())
    assert sprung.exists()  # the trap works
