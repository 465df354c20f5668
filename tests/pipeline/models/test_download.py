"""`fetch-model`, from a hub on loopback."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from pairsieve.pipeline.models import pretrained
from pairsieve.pipeline.models.download import download
from pairsieve.schemas.errors import BadOption, Stopped
from pairsieve.schemas.recipe import Embed

COMMIT = "0" * 39 + "1"
WEIGHTS = "laion/CLIP-ViT-B-32-laion2B-s34B-b79K/resolve/main/open_clip_model.safetensors"
TOWER = {"config.json": b"{}", "tokenizer.json": b"{ }", "model.safetensors": b"weights"}


class Hub(ThreadingHTTPServer):
    """Serves files as the hub does, and keeps what was asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.paths: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        """Give the file; of a repository what it holds."""
        path = self.path.strip("/").partition("?")[0]
        self.server.paths.append(path)
        body = self.server.files.get(path.replace(COMMIT, "main"))
        self.send_response(404 if body is None else 200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{len(body or b"")}"')
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body or b"")

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)
        monkeypatch.setattr(
            "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
            url + "/{repo_id}/resolve/{revision}/{filename}",
        )
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
        yield server
        server.shutdown()


def test_weights_are_fetched_and_then_found(hub: Hub) -> None:
    hub.files[WEIGHTS] = b"some weights"
    options = Embed(model="ViT-B-32", pretrained="laion2b_s34b_b79k")
    with pytest.raises(BadOption, match="are not downloaded"):
        pretrained.find(options)
    assert download(options).weights.read_bytes() == b"some weights"
    assert pretrained.find(options).weights.read_bytes() == b"some weights"


def test_of_the_shipped_model_nothing_is_fetched(hub: Hub) -> None:
    source = download(Embed(model="pairsieve-tiny", pretrained="demo"))
    assert source.weights.is_file()
    assert hub.paths == []


def test_what_cannot_be_fetched_is_told(hub: Hub) -> None:
    with pytest.raises(Stopped, match="fetch-model: .*_b79k: cannot be fetched: "):
        download(Embed(model="ViT-B-32", pretrained="laion2b_s34b_b79k"))


@pytest.mark.parametrize(
    ("model", "tag", "said"),
    [
        ("ViT-B-23", "laion2b_s34b_b79k", "open_clip has no model `ViT-B-23`"),
        ("ViT-B-32", "laion2b_s34b_b97k", "no pretrained tag `laion2b_s34b_b97k`"),
    ],
)
def test_a_wrong_name_is_refused_before_anything_is_asked(
    hub: Hub, model: str, tag: str, said: str
) -> None:
    with pytest.raises(BadOption, match=said):
        download(Embed(model=model, pretrained=tag))
    assert hub.paths == []


def test_of_a_text_tower_all_but_the_weights_is_fetched(hub: Hub, tmp_path: Path) -> None:
    listing = {"id": "some/tower", "sha": COMMIT, "siblings": [{"rfilename": n} for n in TOWER]}
    hub.files["api/models/some/tower/revision/main"] = json.dumps(listing).encode()
    tree = [{"type": "file", "path": n, "size": len(b), "oid": n} for n, b in TOWER.items()]
    hub.files["api/models/some/tower/tree/main"] = json.dumps(tree).encode()
    hub.files |= {f"some/tower/resolve/main/{name}": body for name, body in TOWER.items()}
    config = {
        "embed_dim": 8,
        "vision_cfg": {"image_size": 8, "layers": 1, "width": 8, "patch_size": 4},
        "text_cfg": {"hf_model_name": "some/tower", "hf_tokenizer_name": "some/tower"},
    }
    (tmp_path / "m.json").write_text(json.dumps(config))
    torch.save({"logit_scale": torch.ones(())}, tmp_path / "w.pt")
    source = download(Embed(model=str(tmp_path / "m.json"), pretrained=str(tmp_path / "w.pt")))
    folder = Path(source.folders["hf_model_name"])
    assert {path.name for path in folder.iterdir()} == {"config.json", "tokenizer.json"}
