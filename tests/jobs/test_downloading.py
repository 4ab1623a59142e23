"""Models are fetched whole: resumed, checked, and never from where they should not be. The hub is one of our own."""

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from pipelines.core.error import Conflict, EaselError, InvalidRequest, ModelUnusable
from pipelines.core.event import Worked
from pipelines.core.model import Family
from pipelines.jobs.downloading import Web, download
from pipelines.models.scan import ModelLibrary
from tests.models.synthetic import networks, write_folder


@dataclass
class Hub:
    """A server with files, which breaks off when told to."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    breaks_after: int | None = None
    """Bytes of an answer, once."""
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """(path, Range) of every request for a file."""

    def repository(self, name: str, files: dict[str, bytes]) -> None:
        """Serve `files` as a repository, hashes told for the weights."""
        rows: list[dict[str, Any]] = []
        for path, content in files.items():
            self.files[f"/{name}/resolve/abc123/{path}"] = content
            rows.append({"rfilename": path, "size": len(content)})
            if path.endswith(".safetensors"):
                rows[-1]["lfs"] = {"sha256": hashlib.sha256(content).hexdigest()}
        self.files[f"/api/models/{name}"] = json.dumps({"sha": "abc123", "siblings": rows}).encode()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            wanted = self.headers.get("Range")
            if path == "/moved":
                self.send_response(302)
                self.send_header("Location", "/file.safetensors")
                self.end_headers()
                return
            if path not in made.files:
                self.send_error(404)
                return
            if not path.startswith("/api"):
                made.asked.append((path, wanted))
            content = made.files[path]
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
            self.send_response(206 if wanted else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            end, made.breaks_after = made.breaks_after, None
            self.wfile.write(content[start:] if end is None else content[start : start + end])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    made = Hub(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", made.url)
    yield made
    server.shutdown()
    server.server_close()


def weights(tmp_path: Path) -> bytes:
    save_file({"a": torch.arange(300_000.0)}, tmp_path / "w.safetensors")
    return (tmp_path / "w.safetensors").read_bytes()


def fetch(source: str, folder: Path, *, sha256: str | None = None, name: str | None = None) -> tuple[Path, list[int]]:
    web = Web()
    *told, path = download(web.find(source, name), folder, web, sha256)
    assert isinstance(path, Path)
    return path, [event.done for event in told if isinstance(event, Worked)]


def test_a_file_comes_with_its_name_and_progress(hub: Hub, tmp_path: Path) -> None:
    hub.files["/file.safetensors"] = content = weights(tmp_path)
    path, told = fetch(f"{hub.url}/moved", tmp_path / "models", name="mine.safetensors")
    assert (path.name, path.read_bytes()) == ("mine.safetensors", content)
    assert told == sorted(told) and told[-1] == len(content)
    assert [file.name for file in (tmp_path / "models").iterdir()] == ["mine.safetensors"]


def test_what_breaks_off_goes_on_where_it_was(hub: Hub, tmp_path: Path) -> None:
    hub.files["/file.safetensors"] = content = weights(tmp_path)
    hub.breaks_after = 200_000
    path, _ = fetch(f"{hub.url}/file.safetensors", tmp_path / "models")
    assert path.read_bytes() == content
    assert [wanted for _, wanted in hub.asked] == [None, "bytes=200000-"]


def test_the_next_attempt_goes_on_too(hub: Hub, tmp_path: Path) -> None:
    hub.files["/file.safetensors"] = content = weights(tmp_path)
    web, folder = Web(), tmp_path / "models"
    hub.breaks_after = 200_000
    began = download(web.find(f"{hub.url}/file.safetensors"), folder, web)
    next(began)
    began.close()  # type: ignore[attr-defined]
    assert not list(folder.glob("*.safetensors"))
    (half,) = folder.iterdir()
    have = half.stat().st_size
    path, _ = fetch(f"{hub.url}/file.safetensors", folder)
    assert path.read_bytes() == content
    assert hub.asked[-1][1] == f"bytes={have}-"


def test_a_repository_becomes_a_folder_that_paints_and_unused_files_stay_there(hub: Hub, tmp_path: Path) -> None:
    made = write_folder(tmp_path / "made", networks(Family.SD1, small=True))
    files = {str(f.relative_to(made)): f.read_bytes() for f in made.rglob("*") if f.is_file()}
    unet = "unet/diffusion_pytorch_model"
    files[f"{unet}.fp16.safetensors"] = files[f"{unet}.safetensors"]
    extra = {f"{unet}.bin": b"x", "README.md": b"x", "flat.ckpt": b"x", "whole.safetensors": b"x"}
    hub.repository("somebody/dream", {**files, **extra})
    path, _ = fetch("somebody/dream", tmp_path / "models")
    assert path.name == "dream"
    assert not {file.name for file in path.rglob("*")} & {"README.md", "flat.ckpt", "whole.safetensors"}
    assert [f.name for f in (path / "unet").glob("*.safetensors")] == ["diffusion_pytorch_model.fp16.safetensors"]
    assert ModelLibrary([tmp_path / "models"]).usable("dream").family is Family.SD1


def test_of_several_files_one_must_be_named(hub: Hub, tmp_path: Path) -> None:
    content = weights(tmp_path)
    hub.repository("somebody/loras", {"a.safetensors": content, "b.safetensors": content})
    with pytest.raises(InvalidRequest, match=r"holds several models; name one: somebody/loras/a.safetensors"):
        Web().find("somebody/loras")
    assert fetch("somebody/loras/b.safetensors", tmp_path / "models")[0].name == "b.safetensors"


def test_a_file_of_another_hash_is_refused_and_not_kept(hub: Hub, tmp_path: Path) -> None:
    hub.files["/file.safetensors"] = weights(tmp_path)
    with pytest.raises(ModelUnusable, match="is not the file of that hash"):
        fetch(f"{hub.url}/file.safetensors", tmp_path / "models", sha256="0" * 64)
    assert not list((tmp_path / "models").iterdir())


def test_what_is_no_safetensors_within_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.files["/file.safetensors"] = b"<html>please log in</html>" * 100
    with pytest.raises(ModelUnusable, match=r"What came as file\.safetensors"):
        fetch(f"{hub.url}/file.safetensors", tmp_path / "models")
    assert not list((tmp_path / "models").iterdir())


def test_a_name_that_is_taken_is_never_written_over(hub: Hub, tmp_path: Path) -> None:
    hub.files["/file.safetensors"] = weights(tmp_path)
    mine = tmp_path / "models" / "file.safetensors"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(Conflict, match=r"already a file\.safetensors"):
        fetch(f"{hub.url}/file.safetensors", tmp_path / "models")
    assert mine.read_text() == "mine"


@pytest.mark.parametrize(
    "source",
    ["http://example.com/a.safetensors", "https://192.168.0.1/a.safetensors", "file:///etc/a.safetensors",
     "https://x/a.ckpt", "../etc/passwd", "nothing", "https://[::ffff:10.0.0.1]/a.safetensors"],
)  # fmt: skip
def test_nothing_is_fetched_from_where_it_should_not_be(source: str) -> None:
    with pytest.raises(InvalidRequest):
        Web().find(source)


def test_offline_the_message_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(EaselError, match=r"127.0.0.1:9 cannot be reached; check the connection"):
        Web().find("somebody/dream")


def test_a_repository_that_is_not_there_is_said_to_be_so(hub: Hub) -> None:
    with pytest.raises(InvalidRequest, match="There is no somebody/nothing"):
        Web().find("somebody/nothing")


@pytest.mark.parametrize("path", ["../../x.safetensors", "a/../../x.safetensors"])
def test_a_listing_that_climbs_out_of_its_folder_is_refused(path: str, hub: Hub, tmp_path: Path) -> None:
    hub.repository("somebody/evil", {"model_index.json": b"{}", path: weights(tmp_path)})
    folder = tmp_path / "deep" / "models"
    with contextlib.suppress(InvalidRequest):  # or it is no part of a model, and stays where it is
        fetch("somebody/evil", folder)
    assert {f.name for f in tmp_path.rglob("*.safetensors")} == {"w.safetensors"}
