"""Uploads a model to a server that speaks the Hub's protocol and checks the card, and downloads it again."""

import base64
import http.server
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
import yaml
from local_hub import REPOSITORY, local_hub

from genreclf.errors import GenreclfError
from genreclf.inference.classifier import Classifier
from genreclf.inference.run_folder import PRETRAINED

API = f"/api/models/{REPOSITORY}"


class _Hub(http.server.BaseHTTPRequestHandler):
    """Creates repositories, checks YAML, and accepts commits of files that are sent in one piece."""

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or self._chunks()
        if not self.headers.get("Authorization", "").endswith("secret"):
            self._answer(401, {"error": "no token"})
        elif self.path == "/api/repos/create":
            self.server.created.append(json.loads(sent))
            self._answer(200, {"url": f"{self.server.address}/{REPOSITORY}"})
        elif self.path == "/api/validate-yaml":
            front = yaml.safe_load(json.loads(sent)["content"].split("---\n")[1])
            known = front.get("license") in ("other", "cc-by-nc-4.0", "mit")
            errors = [] if known else [{"message": "license must be one of the Hub's"}]
            self._answer(400 if errors else 200, {"errors": errors, "warnings": []})
        elif self.path.startswith(f"{API}/preupload/"):
            names = [file["path"] for file in json.loads(sent)["files"]]
            files = [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]
            self._answer(200, {"files": files})
        elif self.path.startswith(f"{API}/commit/"):
            for line in map(json.loads, sent.splitlines()):
                if line["key"] == "header":
                    self.server.commit = self.path.rpartition("/")[2], line["value"]["summary"]
                if line["key"] == "file":
                    content = base64.b64decode(line["value"]["content"])
                    (self.server.folder / line["value"]["path"]).write_bytes(content)
            url = f"{self.server.address}/{REPOSITORY}/commit/1"
            self._answer(200, {"commitUrl": url, "commitOid": "1" * 40, "hookOutput": ""})
        else:
            self._answer(404, {})

    def do_GET(self) -> None:
        self._answer(200, {"id": REPOSITORY, "sha": "0" * 40, "siblings": []})

    def _chunks(self) -> bytes:
        """Reads a body without a stated length."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return b""
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, status: int, content: dict) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch, tmp_path) -> Iterator[http.server.ThreadingHTTPServer]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Hub) as server:
        server.folder, server.created = tmp_path / "repository", []
        server.folder.mkdir()
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        server.address = endpoint = f"http://127.0.0.1:{server.server_port}"
        real = huggingface_hub.HfApi
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", endpoint)
        monkeypatch.setattr(huggingface_hub, "HfApi", lambda token: real(endpoint, token=token))
        yield server
        server.shutdown()


def test_an_uploaded_model_is_loaded_again(hub, monkeypatch, tmp_path):
    model = Classifier.from_pretrained("a")
    words = {"revision": "v2", "commit_message": "better", "token": "secret", "license": "cc-by-nc-4.0"}
    assert model.push_to_hub(REPOSITORY, private=True, **words).startswith(f"{hub.address}/{REPOSITORY}")
    assert [(one["name"], one["visibility"]) for one in hub.created] == [(REPOSITORY.split("/")[1], "private")]
    assert hub.commit == ("v2", "better")
    with local_hub(monkeypatch, hub.folder):
        again = Classifier.from_pretrained(REPOSITORY, cache_dir=tmp_path / "cache")
    assert again.predictor.digest == model.predictor.digest and again.classes == model.classes
    files = {path.name: path.read_bytes() for path in hub.folder.iterdir()}
    assert files.keys() == {"config.json", "model.onnx", "model.safetensors", "README.md", "scores.json"}
    for name in ("config.json", "model.onnx", "model.safetensors"):
        assert files[name] == (PRETRAINED / "a" / name).read_bytes()
    assert again.card is not None and re.search(r"^license: cc-by-nc-4.0$", again.card, re.MULTILINE)


@pytest.mark.parametrize(("token", "license"), [("secret", "whatever i like"), ("wrong", None)])
def test_what_the_hub_refuses_is_one_line(hub, token, license):
    with pytest.raises(GenreclfError, match=f"^{REPOSITORY}: not uploaded") as error:
        Classifier.from_pretrained("a").push_to_hub(REPOSITORY, token=token, license=license)
    assert ("license must be" in str(error.value)) == (token == "secret")
    assert "\n" not in str(error.value) and not list(Path(hub.folder).iterdir())
