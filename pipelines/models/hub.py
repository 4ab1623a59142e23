"""Hugging Face's names: models in the local cache, which files of a repository make a model, who may be asked for them.

Nothing is fetched here.
"""

import hashlib
import ipaddress
import os
import re
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from pydantic import BaseModel, NonNegativeInt, ValidationError

from pipelines.core.error import EaselError, InvalidRequest, ModelUnusable
from pipelines.models.enlargers import LOW_RES, VQ
from pipelines.models.folder import INDEX, PIPELINES, SCHEDULER, UNET, VAE
from pipelines.models.headers import DamagedFile, read_header

if TYPE_CHECKING:
    import httpx  # a third of a second, for a command that may not need it

HUB = "https://huggingface.co"
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
FOLDERS = frozenset(
    {UNET.name, VAE.name, SCHEDULER.name, LOW_RES.name, VQ.name}
    | {piece.name for towers in PIPELINES.values() for tower in towers for piece in (tower.encoder, tower.tokenizer)}
)
"""Those of a diffusers model that are read; safety checkers and the like stay where they are."""
TEXTS = (".json", ".txt")
WEIGHTS = ".safetensors"
HALVES = f".fp16{WEIGHTS}"


def endpoint() -> str:
    """Where the hub is: HF_ENDPOINT names a mirror."""
    return (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")


def cache_folder() -> Path:
    """Where Hugging Face's programs keep what they fetched."""
    home = os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface"
    return Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub")


def cached(repository: str) -> Path | None:
    """The latest snapshot of `author/model` in the cache; None when there is none."""
    if not REPOSITORY.fullmatch(repository):
        return None
    kept = cache_folder() / f"models--{repository.replace('/', '--')}"
    try:
        revision = (kept / "refs" / "main").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    snapshot = kept / "snapshots" / revision
    return snapshot if re.fullmatch(r"[0-9a-f]{6,64}", revision) and snapshot.is_dir() else None


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file somewhere else."""

    url: str
    path: str
    """Where it belongs, with forward slashes: a name, or a path below a model's folder."""
    size: int | None = None
    sha256: str | None = None

    def wrong_with(self, path: Path) -> str:
        """What is wrong with the file that came to lie at `path`; empty when it is what was promised."""
        size = path.stat().st_size
        if self.size is not None and size != self.size:
            return f"has {'more' if size > self.size else 'fewer'} bytes than the {self.size:,} promised"
        if self.sha256 is not None and _hash(path) != self.sha256.lower():
            return "is not the file of that hash"
        if path.name.endswith(WEIGHTS):  # its name here counts: at its source it may have any
            try:
                read_header(path)
            except DamagedFile as error:
                return str(error)
        return ""


@dataclass(frozen=True, slots=True)
class Download:
    """A model somewhere else, and what it shall be called."""

    files: Sequence[RemoteFile]
    name: str
    """Of the file, or of the folder where there are several."""

    @property
    def single(self) -> bool:
        """Whether it becomes a file and no folder."""
        return len(self.files) == 1 and self.files[0].path != INDEX

    @property
    def paths(self) -> list[str]:
        """Where each file lies below the unfinished model, whatever the finished one shall be called."""
        return [f"file{WEIGHTS}"] if self.single else [file.path for file in self.files]

    @property
    def size(self) -> int:
        """Bytes as far as they are known."""
        return sum(file.size or 0 for file in self.files)

    @property
    def key(self) -> str:
        """The same for the same files only: in a repository their addresses name the commit."""
        return hashlib.sha256("\n".join(file.url for file in self.files).encode()).hexdigest()[:24]

    def promised(self, sha256: str) -> "Download":
        """The same, when its hash shall be this one. Raises InvalidRequest."""
        if not self.single:
            raise InvalidRequest(
                "One hash is not that of several files", fix="leave out --sha256: the hub tells theirs", field="sha256"
            )
        if not re.fullmatch("[0-9a-fA-F]{64}", sha256):
            raise InvalidRequest(f"{sha256!r} is no SHA-256", fix="give its 64 digits, 0-9 and a-f", field="sha256")
        return replace(self, files=[replace(self.files[0], sha256=sha256)])


class Lfs(BaseModel):
    """What the hub knows about a large file."""

    sha256: str | None = None


class Sibling(BaseModel):
    """A row of a listing."""

    rfilename: str
    size: NonNegativeInt | None = None
    lfs: Lfs | None = None


class Listing(BaseModel):
    """What the hub answers about a repository; only what is needed of it."""

    sha: str
    """The commit."""
    siblings: list[Sibling]


def read_source(source: str) -> tuple[str, str]:
    """`author/model/file` as repository and file; the file may be missing. Raises InvalidRequest."""
    author, _, rest = source.partition("/")
    model, _, file = rest.partition("/")
    if not REPOSITORY.fullmatch(f"{author}/{model}"):
        raise InvalidRequest(
            f"{source!r} names no model", fix="write author/model, author/model/file, or an https address",
            field="model",
        )  # fmt: skip
    return f"{author}/{model}", file


def read_listing(answer: bytes) -> Listing:
    """Raises EaselError for an answer that is none, such as the page of a log-in."""
    try:
        return Listing.model_validate_json(answer)
    except ValidationError as error:
        raise EaselError(
            f"{endpoint()} did not answer with a list of files", fix="check HF_ENDPOINT and the connection",
            detail=str(error),
        ) from error  # fmt: skip


def files_of(listing: Listing, repository: str, file: str = "") -> list[RemoteFile]:
    """What must be fetched of a repository, from the hub's listing of it; `file`: only this one.

    A diffusers model: its index and the folders that are read, in halves where there are any. Raises ModelUnusable when
    the repository holds no model, InvalidRequest when it holds several and none was named.
    """
    found = {one.rfilename: one for one in listing.siblings}
    if file:
        if file not in found:
            raise InvalidRequest(f"{repository} has no file {file!r}", fix="check the name on its page", field="model")
        names: Sequence[str] = [file]
    elif INDEX in found:
        names = _parts(list(found))
    else:
        names = [name for name in found if name.endswith(WEIGHTS) and "/" not in name]
        if not names:
            raise ModelUnusable(f"{repository} holds no safetensors", fix="choose another repository", field="model")
        if len(names) > 1:
            offers = ", ".join(f"{repository}/{name}" for name in names[:5])
            raise InvalidRequest(f"{repository} holds several models", fix=f"name one: {offers}", field="model")
    base = f"{endpoint()}/{repository}/resolve/{quote(listing.sha, safe='')}"
    return [
        RemoteFile(f"{base}/{quote(one.rfilename)}", one.rfilename, one.size, one.lfs.sha256 if one.lfs else None)
        for one in (found[name] for name in names)
    ]


def _parts(names: Sequence[str]) -> list[str]:
    """The index, and of each folder read the texts and the weights, those in halves rather than in full."""
    inside = [name for name in names if name.count("/") == 1 and name.split("/")[0] in FOLDERS]
    weights = [name for name in inside if name.endswith(WEIGHTS) and "non_ema" not in name]
    halves = {name.removesuffix(HALVES) for name in weights if name.endswith(HALVES)}
    chosen = [name for name in weights if name.endswith(HALVES) or name.removesuffix(WEIGHTS) not in halves]
    return [INDEX, *(name for name in inside if name.endswith(TEXTS)), *chosen]


def _hash(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def no_address(text: str) -> InvalidRequest:
    """What somebody reads whose address must not be asked."""
    return InvalidRequest(f"{text!r} is no address to fetch models from", fix="use one with https", field="model")


def version_of(headers: Mapping[str, str]) -> str:
    """What tells this version of a file from any other; empty when nothing does."""
    tag = headers.get("ETag", "")
    # A weak tag (W/"...") calls two files the same that differ in bytes.
    found = tag if tag.startswith('"') else headers.get("Last-Modified", "")
    return found if found.isascii() else ""


def same_origin(one: "httpx.URL", other: "httpx.URL") -> bool:
    """Whether both are of one server: what begins alike (huggingface.co.evil.example) need not be."""
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)


def names_this_machine(url: "httpx.URL") -> bool:
    """Whether its host is this machine by name or number; a name that merely leads here is not."""
    return bool(re.fullmatch(r"localhost|127(\.\d{1,3}){3}|::1", url.host))


def check_address(url: "httpx.URL", *, at_home: bool, encrypted: bool = False) -> None:
    """Only encrypted, and to nobody's own network. Raises InvalidRequest.

    With `at_home` a server on this machine may be asked, and may do without encryption unless that had begun.
    """
    found = _addresses_of(url)
    here = at_home and bool(found) and all(one.is_loopback for one in found)
    scheme = url.scheme == "https" or (url.scheme == "http" and here and not encrypted)
    if not (url.host and scheme and (url.port or 0) < 2**16 and (here or all(one.is_global for one in found))):
        raise no_address(str(url))


def _addresses_of(url: "httpx.URL") -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """What its host stands for; nothing for a name that only a proxy knows, or nobody."""
    with suppress(ValueError):
        return [ipaddress.ip_address(url.host)]
    try:
        rows = socket.getaddrinfo(url.raw_host.decode(), None, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a label too long, or empty
        raise no_address(str(url)) from error
    except OSError:
        return []
    return [ipaddress.ip_address(row[4][0]) for row in rows]
