"""Models are fetched whole: resumed, checked, and never from where they should not be. The hub is one of our own."""

import hashlib
import os
import pickle
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
import torch
from safetensors.torch import save_file

from pipelines.core.error import Conflict, EaselError, InvalidRequest, ModelUnusable, StorageProblem
from pipelines.core.event import Worked
from pipelines.core.model import Family
from pipelines.jobs.downloading import SPARE_BYTES, Web, download
from pipelines.models.scan import ModelLibrary
from tests.jobs.hub import Hub
from tests.models.synthetic import networks, write_folder


def weights(tmp_path: Path) -> bytes:
    save_file({"a": torch.arange(300_000.0)}, tmp_path / "w.safetensors")
    return (tmp_path / "w.safetensors").read_bytes()


def fetch(
    source: str, folder: Path, *, sha256: str | None = None, name: str | None = None, web: Web | None = None
) -> tuple[Path, list[int]]:
    web = web or Web(pause=0)
    *told, path = download(web.find(source, name), folder, web, sha256)
    assert isinstance(path, Path)
    return path, [event.done for event in told if isinstance(event, Worked)]


def begin(source: str, folder: Path) -> int:
    """Fetch the first piece and stop, as Ctrl-C does; the bytes that stay."""
    web = Web()
    began = download(web.find(source), folder, web)
    next(began)
    began.close()
    return sum(file.stat().st_size for file in folder.rglob("parts/**/*") if file.is_file())


def test_a_file_comes_with_its_name_and_progress(hub: Hub, tmp_path: Path) -> None:
    hub.files["/file.safetensors"] = content = weights(tmp_path)
    hub.moved["/moved"] = "/file.safetensors"
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
    folder = tmp_path / "models"
    have = begin(f"{hub.url}/file.safetensors", folder)
    assert not list(folder.glob("*.safetensors"))
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
     "https://x/a.ckpt", "../etc/passwd", "nothing", "https://[::ffff:10.0.0.1]/a.safetensors",
     "https://[::1/a.safetensors", "https://[::1]:99999/a.safetensors", "https://127.1/a.safetensors",
     f"https://{'a' * 70}.example/a.safetensors", "https:///a.safetensors"],
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


@pytest.mark.parametrize("path", ["unet/..\\x.safetensors", "vae/.\u2215x.safetensors"])
def test_a_listing_that_climbs_out_of_its_folder_is_refused_before_anything_comes(
    path: str, hub: Hub, tmp_path: Path
) -> None:
    hub.repository("somebody/evil", {"model_index.json": b"{}", path: weights(tmp_path)})
    with pytest.raises(InvalidRequest, match=r"The name .* holds one of"):
        fetch("somebody/evil", tmp_path / "deep" / "models")
    assert not hub.asked
    assert {f.name for f in tmp_path.rglob("*") if f.is_file()} == {"w.safetensors"}


def test_a_file_above_the_repository_becomes_one_of_our_folder(hub: Hub, tmp_path: Path) -> None:
    hub.repository("somebody/evil", {"../../x.safetensors": weights(tmp_path)})
    hub.files["/somebody/evil/x.safetensors"] = hub.files.pop("/somebody/evil/resolve/abc123/../../x.safetensors")
    path, _ = fetch("somebody/evil/../../x.safetensors", tmp_path / "deep" / "models")
    assert path == tmp_path / "deep" / "models" / "x.safetensors"
    assert path.is_file()


class Elsewhere(httpx.BaseTransport):
    """Any server but our own: says who it was and what it was told, and answers as it is told to."""

    def __init__(self, answers: dict[str, httpx.Response], content: bytes = b"") -> None:
        self.answers, self.content = answers, content
        self.asked: list[tuple[str, str | None]] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append((str(request.url), request.headers.get("Authorization")))
        return self.answers.get(request.url.host, httpx.Response(200, stream=httpx.ByteStream(self.content)))

    def web(self) -> Web:
        return Web(httpx.Client(transport=self), token="secret", pause=0)


@pytest.mark.parametrize("endpoint", ["https://huggingface.co", "", None])
def test_the_token_goes_to_the_hub_and_to_nobody_whose_name_begins_alike(
    endpoint: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    if endpoint is not None:
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
    elsewhere = Elsewhere({}, weights(tmp_path))
    told: dict[str, bool] = {}
    for host in ("huggingface.co", "huggingface.co:443", "huggingface.co:8443", "huggingface.co.evil.example",
                 "huggingface.co@evil.example", "huggingface.community", "evil.example"):  # fmt: skip
        name = f"{len(told)}.safetensors"
        fetch(f"https://{host}/{name}", tmp_path / "models", web=elsewhere.web())
        told[host] = elsewhere.asked[-1][1] == "Bearer secret"
    assert [host for host, token in told.items() if token] == ["huggingface.co", "huggingface.co:443"]


def test_a_redirect_carries_no_token_away(hub: Hub, tmp_path: Path) -> None:
    hub.files["/file.safetensors"] = weights(tmp_path)
    elsewhere = f"http://localhost:{hub.url.rpartition(':')[2]}"
    hub.moved["/moved"] = f"{elsewhere}/file.safetensors"
    fetch(f"{hub.url}/moved", tmp_path / "models", name="x.safetensors", web=Web(token="secret", pause=0))
    assert hub.tokens == ["Bearer secret", None]


@pytest.mark.parametrize("to", ["http://models.example/x", "http://127.0.0.1:7860/x", "https://127.0.0.1/x",
                                "https://10.0.0.1/x"])  # fmt: skip
def test_no_redirect_leads_out_of_encryption_or_to_a_network_of_ones_own(
    to: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    elsewhere = Elsewhere({"models.example": httpx.Response(302, headers={"Location": to})}, weights(tmp_path))
    with pytest.raises(InvalidRequest, match="is no address to fetch models from; use one with https"):
        fetch("https://models.example/x.safetensors", tmp_path / "models", web=elsewhere.web())
    assert len(elsewhere.asked) == 1
    assert not list((tmp_path / "models").iterdir())


@pytest.mark.parametrize("numbers", [["192.168.1.1"], ["93.184.215.14", "10.0.0.1"], ["127.0.0.1"], ["fe80::1%eth0"]])
def test_a_name_that_leads_to_a_network_of_ones_own_is_refused(
    numbers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [(0, 0, 0, "", (number, 0)) for number in numbers])
    with pytest.raises(InvalidRequest, match="is no address"):
        Web().find("https://models.example/x.safetensors")


def test_what_must_be_weights_is_looked_into_whatever_its_address_is_called(hub: Hub, tmp_path: Path) -> None:
    for number, content in {"1": b"<html>please log in</html>", "2": pickle.dumps({"a": 1}, protocol=2)}.items():
        hub.files[f"/download/models/{number}"] = content
        with pytest.raises(ModelUnusable, match=f"What came as {number} "):
            fetch(f"{hub.url}/download/models/{number}", tmp_path / "models", name="x.safetensors")
    assert not list((tmp_path / "models").iterdir())


def test_a_hash_must_be_one_and_of_one_file(hub: Hub, tmp_path: Path) -> None:
    hub.files["/file.safetensors"] = content = weights(tmp_path)
    hub.repository("somebody/dream", {"model_index.json": b"{}", "unet/x.safetensors": content})
    with pytest.raises(InvalidRequest, match="'abc' is no SHA-256; give its 64 digits"):
        fetch(f"{hub.url}/file.safetensors", tmp_path / "models", sha256="abc")
    with pytest.raises(InvalidRequest, match="One hash is not that of several files; leave out --sha256"):
        fetch("somebody/dream", tmp_path / "models", sha256="0" * 64)
    assert not hub.asked
    told = hashlib.sha256(content).hexdigest().upper()
    assert fetch(f"{hub.url}/file.safetensors", tmp_path / "models", sha256=told)[0].read_bytes() == content


def test_a_file_made_meanwhile_is_not_written_over(hub: Hub, tmp_path: Path) -> None:
    hub.files["/file.safetensors"] = content = weights(tmp_path)
    mine = tmp_path / "models" / "file.safetensors"

    def somebody_else_writes() -> None:
        mine.write_text("mine")

    hub.during = somebody_else_writes
    with pytest.raises(Conflict, match=r"already a file\.safetensors; choose another name"):
        fetch(f"{hub.url}/file.safetensors", tmp_path / "models")
    assert mine.read_text() == "mine"
    path, _ = fetch(f"{hub.url}/file.safetensors", tmp_path / "models", name="other.safetensors")
    assert path.read_bytes() == content


def test_a_folder_made_meanwhile_is_left_alone(hub: Hub, tmp_path: Path) -> None:
    hub.repository("somebody/dream", {"model_index.json": b"{}", "unet/x.safetensors": weights(tmp_path)})
    mine = tmp_path / "models" / "dream"
    hub.during = lambda: mine.mkdir(exist_ok=True)
    with pytest.raises(Conflict, match="already a dream"):
        fetch("somebody/dream", tmp_path / "models")
    assert not list(mine.iterdir())


def test_two_runs_never_write_one_file(hub: Hub, tmp_path: Path) -> None:
    hub.files["/file.safetensors"] = content = weights(tmp_path)
    web, source, folder = Web(), f"{hub.url}/file.safetensors", tmp_path / "models"
    first = download(web.find(source), folder, web)
    next(first)
    with pytest.raises(Conflict, match="It is being fetched already; wait for the other"):
        fetch(source, folder, name="twin.safetensors")
    *_, path = first
    assert isinstance(path, Path) and path.read_bytes() == content
    assert [file.name for file in folder.iterdir()] == ["file.safetensors"]


@pytest.mark.parametrize("heeds", [True, False])
def test_a_file_that_changed_meanwhile_is_fetched_anew(heeds: bool, hub: Hub, tmp_path: Path) -> None:
    hub.heeds_if_range = heeds
    content = weights(tmp_path)
    hub.files["/file.safetensors"] = content[:-4] + bytes(4)
    assert begin(f"{hub.url}/file.safetensors", tmp_path / "models")
    hub.files["/file.safetensors"] = content
    assert fetch(f"{hub.url}/file.safetensors", tmp_path / "models")[0].read_bytes() == content


def test_bytes_from_another_place_than_asked_for_are_not_appended(hub: Hub, tmp_path: Path) -> None:
    hub.files["/file.safetensors"] = content = weights(tmp_path)
    begin(f"{hub.url}/file.safetensors", tmp_path / "models")
    hub.begins_wrong = 4
    assert fetch(f"{hub.url}/file.safetensors", tmp_path / "models")[0].read_bytes() == content


def test_a_repository_that_changed_meanwhile_is_not_mixed(hub: Hub, tmp_path: Path) -> None:
    content = weights(tmp_path)
    old = {"model_index.json": b'{"v": 1}', "vae/old.safetensors": content, "unet/x.safetensors": content}
    hub.repository("somebody/dream", old)
    hub.files["/somebody/dream/resolve/abc123/unet/x.safetensors"] = content[:200_000]
    with pytest.raises(ModelUnusable, match="has fewer bytes"):
        fetch("somebody/dream", tmp_path / "models")
    assert list(tmp_path.rglob("parts/vae/old.safetensors"))
    hub.repository("somebody/dream", {"model_index.json": b'{"v": 2}', "unet/x.safetensors": content}, sha="def456")
    path, _ = fetch("somebody/dream", tmp_path / "models")
    assert {file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()} == {
        "model_index.json", "unet/x.safetensors"
    }  # fmt: skip
    assert (path / "model_index.json").read_bytes() == b'{"v": 2}'


def test_a_server_that_always_breaks_is_not_asked_for_ever(hub: Hub, tmp_path: Path) -> None:
    hub.files["/file.safetensors"] = weights(tmp_path)
    hub.breaks_after, hub.always_breaks, hub.begins_wrong = 1000, True, 4  # it cannot go on either: always from zero
    with pytest.raises(EaselError, match=r"127.0.0.1:\d+ cannot be reached.*; check the connection"):
        fetch(f"{hub.url}/file.safetensors", tmp_path / "models")
    assert len(hub.asked) < 10


def test_more_than_was_promised_is_not_taken(hub: Hub, tmp_path: Path) -> None:
    content = weights(tmp_path)
    hub.repository("somebody/lora", {"x.safetensors": content})
    hub.files["/somebody/lora/resolve/abc123/x.safetensors"] = content * 100
    told = 0
    web = Web()
    with pytest.raises(ModelUnusable, match=r"has more bytes than the 1,200,0\d\d promised; try again"):
        for event in download(web.find("somebody/lora"), tmp_path / "models", web):
            told = event.done if isinstance(event, Worked) else told
    assert told < 2 * len(content)
    assert not list((tmp_path / "models").iterdir())


def test_what_is_here_needs_no_room_again(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = weights(tmp_path)
    hub.repository("somebody/lora", {"x.safetensors": content})
    have = begin("somebody/lora", tmp_path / "models")
    room = SPARE_BYTES + len(content) - have
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=room - 1))
    with pytest.raises(StorageProblem, match=r"no room for 0\.0 GB more; free some space"):
        fetch("somebody/lora", tmp_path / "models")
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=room))
    assert fetch("somebody/lora", tmp_path / "models")[0].read_bytes() == content


def test_what_was_left_for_a_month_is_swept(hub: Hub, tmp_path: Path) -> None:
    hub.files |= {f"/{name}.safetensors": weights(tmp_path) for name in ("old", "new", "now")}
    folder = tmp_path / "models"
    begin(f"{hub.url}/old.safetensors", folder)
    for left in folder.rglob("*"):
        os.utime(left, (0, 0))
    begin(f"{hub.url}/new.safetensors", folder)
    (new,) = (left for left in folder.glob(".download-*") if left.stat().st_mtime > 1)
    fetch(f"{hub.url}/now.safetensors", folder)
    assert {file.name for file in folder.iterdir()} == {new.name, "now.safetensors"}


@pytest.mark.parametrize(
    "answer",
    [b"<html>please log in</html>", b"[]", b'{"sha": "x"}', b'{"sha": "x", "siblings": [{"size": 1}]}',
     b'{"siblings": []}', b'{"sha": "x", "siblings": [{"rfilename": "a", "size": -1}]}'],
)  # fmt: skip
def test_a_listing_that_is_none_is_said_to_be_so(answer: bytes, hub: Hub) -> None:
    hub.files["/api/models/somebody/dream"] = answer
    with pytest.raises(EaselError, match="did not answer with a list of files; check HF_ENDPOINT"):
        Web().find("somebody/dream")


@pytest.mark.parametrize(("to", "said"), [("", "answered 302 Found; check the address"),
                                          ("https://[::1/x", "cannot be reached; check the connection")])  # fmt: skip
def test_a_redirect_to_nowhere_is_said_to_be_so(to: str, said: str, hub: Hub, tmp_path: Path) -> None:
    hub.moved["/x.safetensors"] = to
    with pytest.raises(EaselError, match=said):
        fetch(f"{hub.url}/x.safetensors", tmp_path / "models")


def test_an_odd_name_is_asked_for_by_that_name(hub: Hub, tmp_path: Path) -> None:
    content = weights(tmp_path)
    hub.repository("somebody/lora", {"a#b%20 [c].safetensors": content})
    path, _ = fetch("somebody/lora", tmp_path / "models")
    assert (path.name, path.read_bytes()) == ("a#b%20 [c].safetensors", content)
