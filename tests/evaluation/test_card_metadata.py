"""Checks the front matter of model cards with huggingface_hub, and with a server that applies the Hub's rules."""

import http.server
import json
import threading
from collections.abc import Iterator

import huggingface_hub
import pytest
import timm
import yaml
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results
from test_report import few_draws, made

from genreclf.evaluation.card import model_card
from genreclf.evaluation.card_metadata import HUB_WEIGHTS
from genreclf.inference.classifier import Classifier

__all__ = ["few_draws"]  # its fixture


def faults(content: str) -> list[str]:
    """Returns requirements of the Hub's documentation that a card does not meet."""
    front = yaml.safe_load(content.split("---\n")[1])
    found = [
        key
        for key in ("license", "library_name", "pipeline_tag", "tags", "metrics", "model-index")
        if not front.get(key)
    ]
    if front.get("license") == "other" and not front.get("license_name"):
        found.append("license_name")
    found += [f"datasets {one}" for one in front.get("datasets", []) if one.count("/") != 1]
    for model in front.get("model-index", ()):
        for result in model["results"]:
            keys = {"task": {"type"}, "dataset": {"type", "name"}}
            found += [f"model-index {key}" for key, needed in keys.items() if not needed <= set(result.get(key, ()))]
            found += ["metric" for metric in result["metrics"] if not isinstance(metric["value"], float)]
    return found


class _Validation(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        found = (
            faults(request["content"])
            if self.path == "/api/validate-yaml" and request["repoType"] == "model"
            else ["?"]
        )
        answer = ", ".join(found).encode()
        self.send_response(400 if found else 200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch) -> Iterator[None]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Validation) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        yield
        server.shutdown()


def test_the_card_passes_the_hubs_checks_and_holds_the_measured_scores(hub):
    test = {**made(["a", "b", "c"]), "data_name": "gtzan"}
    val = {**made(["a", "b", "c"], seed=1), "split": "val", "data_name": "gtzan"}
    card = ModelCard(model_card({"test": test, "val": val}))
    card.validate()
    assert card.data.license == "other" and card.data.datasets == ["marsyas/gtzan"] and card.data.base_model is None
    found = {(one.dataset_split, one.metric_type): one for one in card.data.eval_results}
    assert len(found) == 8
    for split, metrics in (("test", test), ("validation", val)):
        clip = metrics["tta"]["none"]["clip"]
        accuracy = found[split, "accuracy"]
        assert accuracy.metric_value == pytest.approx(clip["accuracy"], abs=5e-5)
        assert accuracy.metric_args["interval_95"] == pytest.approx(clip["intervals"]["accuracy"]["shown"], abs=5e-5)
        assert found[split, "f1"].metric_value == pytest.approx(clip["macro_f1"], abs=5e-5)
        assert accuracy.dataset_args == {"clips": 60, "groups": 20}


@pytest.mark.parametrize(
    ("weights", "base"),
    [
        ({"asked": "imagenet", "pretrained": True, "source": "efficientnet_b0"}, "timm/efficientnet_b0.ra_in1k"),
        ({"asked": "lite0", "pretrained": True, "source": "efficientnet_lite0"}, None),
        ({"asked": "none", "pretrained": False, "source": None}, None),
    ],
)
def test_the_base_model_is_the_one_whose_weights_it_started_from(weights, base):
    card = model_card({"test": {**made(["a", "b"]), "weights": weights}})
    assert yaml.safe_load(card.split("---\n")[1]).get("base_model") == base


def test_timm_has_the_base_model_under_this_name():
    assert {name: timm.get_pretrained_cfg(name).hf_hub_id for name in HUB_WEIGHTS} == HUB_WEIGHTS


def test_a_data_set_of_the_hub_is_named_and_a_folder_is_not():
    for name, fetch, expected in (("mine/music", "hub", ["mine/music"]), ("music", "hub", None), ("a/b", None, None)):
        card = ModelCard(model_card({"test": {**made(["a", "b"]), "data_name": name, "data_fetch": fetch}}))
        assert card.data.datasets == expected


def test_the_scores_of_folds_and_of_a_users_music_are_marked_as_such():
    folds = {**made(["a", "b"]), "split": "folds", "data_name": "own: music\n---", "data_subset": "small"}
    content = model_card({"folds": folds})
    _, front, body = content.split("---\n", 2)
    (model,) = yaml.safe_load(front)["model-index"]
    name, results = model_index_to_eval_results([model])
    assert "model A" in name and {one.dataset_split for one in results} == {"cross-validation"}
    assert {one.dataset_config for one in results} == {"small"}
    assert {one.dataset_name for one in results} == {"own: music\n---"} and body.lstrip().startswith("# Music genre")


def test_an_upload_states_the_chosen_licence(tmp_path, monkeypatch):
    card = tmp_path / "bundle" / "README.md"
    card.parent.mkdir()
    card.write_text(model_card({"test": made(["a", "b"])}))
    for name in ("config.json", "model.onnx"):
        (card.parent / name).touch()
    uploaded = []

    class Api:
        def __init__(self, token: str | None) -> None:
            pass

        def create_repo(self, *_: object, **__: object) -> None:
            pass

        def upload_folder(self, folder_path: str, **_: object) -> str:
            uploaded.append(ModelCard.load(f"{folder_path}/README.md"))
            return "address"

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    model = Classifier(None, card.parent)  # type: ignore[arg-type]  # nothing is predicted
    model.push_to_hub("mine/music", license="cc-by-nc-4.0")
    before, after = ModelCard.load(card), uploaded[0]
    assert after.data.license == "cc-by-nc-4.0" and after.data.get("license_name") is None
    assert before.data.license == "other" and after.text == before.text
    assert after.data.eval_results == before.data.eval_results
