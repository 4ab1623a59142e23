"""Fetching a model when a person asks for it: resumed where it broke off, checked, and in its place only when whole."""

import hashlib
import ipaddress
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urljoin, urlsplit

import httpx

from pipelines.core.error import Conflict, EaselError, InvalidRequest, ModelUnusable, StorageProblem
from pipelines.core.event import Worked
from pipelines.models import hub
from pipelines.models.headers import DamagedFile, read_header
from pipelines.models.hub import RemoteFile
from pipelines.storage.files import make_folder, safe_name, storage_problem

REDIRECTS = 5
ATTEMPTS = 4
"""Connections in a row that may break without a byte gained."""
SPARE_BYTES = 512 * 1024 * 1024
UNFINISHED = ".download-"
"""How what is not whole yet begins: hidden, and found again by the next attempt."""


@dataclass(frozen=True)
class Download:
    """A model somewhere else, and where it shall go."""

    files: list[RemoteFile]
    name: str
    """Of the file, or of the folder where there are several."""
    source: str

    @property
    def size(self) -> int:
        """Bytes as far as they are known."""
        return sum(file.size or 0 for file in self.files)


@dataclass
class Web:
    """The only door to the network."""

    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=30, follow_redirects=False))
    token: str | None = field(default_factory=lambda: os.environ.get("HF_TOKEN"), repr=False)
    """For repositories that ask who one is; goes to the hub alone."""

    def find(self, source: str, name: str | None = None) -> Download:
        """What `source` means: `author/model`, `author/model/file.safetensors`, or an https address.

        Raises InvalidRequest, ModelUnusable, EaselError when the hub cannot be reached.
        """
        if "://" in source:
            _allowed(source)
            own = PurePosixPath(unquote(urlsplit(source).path)).name
            return Download([RemoteFile(source, own)], _safetensors(name or own), source)
        repository, file = "/".join(source.split("/")[:2]), "/".join(source.split("/")[2:])
        if not hub.REPOSITORY.fullmatch(repository):
            raise InvalidRequest(
                f"{source!r} names no model", fix="write author/model, author/model/file, or an https address",
                field="model",
            )  # fmt: skip
        files = hub.files_of(self._listing(repository), repository, file)
        if len(files) == 1 and files[0].path != hub.INDEX:
            return Download(files, _safetensors(name or PurePosixPath(files[0].path).name), source)
        return Download(files, safe_name(name or repository.split("/")[1]), source)

    @contextmanager
    def open(self, url: str, start: int = 0) -> Iterator[httpx.Response]:
        """The answer to a request for what follows byte `start`, redirects followed."""
        for _ in range(REDIRECTS + 1):
            _allowed(url)
            headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={start}-"} if start else {})}
            if self.token and url.startswith(hub.endpoint()):
                headers["Authorization"] = f"Bearer {self.token}"
            answer = self.client.send(self.client.build_request("GET", url, headers=headers), stream=True)
            try:
                if not answer.is_redirect:
                    yield answer
                    return
            finally:
                answer.close()
            url = urljoin(url, answer.headers["Location"])
        raise EaselError(f"{_host(url)} sends us round in circles", fix="use the file's own address")

    def _listing(self, repository: str) -> dict[str, object]:
        with _reachable(hub.endpoint()), self.open(f"{hub.endpoint()}/api/models/{repository}?blobs=true") as answer:
            if answer.status_code in {401, 403, 404}:
                raise InvalidRequest(
                    f"There is no {repository} on the hub, or it is not open to everybody",
                    fix="check the name; for one that asks who you are, set HF_TOKEN", field="model",
                )  # fmt: skip
            _sound(answer)
            answer.read()
            listing: dict[str, object] = answer.json()
            return listing


def download(wanted: Download, folder: Path, web: Web, sha256: str | None = None) -> Iterator[Worked | Path]:
    """Fetch `wanted` into `folder`, telling how far it is; the path of the finished model comes last.

    What broke off goes on where it was, in this call or in the next. Raises Conflict when the name is taken,
    StorageProblem, ModelUnusable for a file that is not what it should be, EaselError when nobody answers.
    """
    target = folder / wanted.name
    if target.exists():
        raise Conflict(f"There is already a {wanted.name}", fix="choose another name with --name", field="name")
    make_folder(folder)
    if shutil.disk_usage(folder).free < wanted.size + SPARE_BYTES:
        raise StorageProblem(f"The disk has no room for {wanted.size / 1e9:.1f} GB", fix="free some space")
    single = len(wanted.files) == 1 and wanted.files[0].path != hub.INDEX
    unfinished = folder / f"{UNFINISHED}{hashlib.sha256(wanted.source.encode()).hexdigest()[:16]}"
    before = 0
    for file in wanted.files:
        part = unfinished if single else unfinished.joinpath(*_safe_path(file.path))
        make_folder(part.parent)
        for done in _fetch(file, part, web):
            yield Worked(done=before + done, total=max(wanted.size, before + done))
        _check(part, file, sha256 or file.sha256 if single else file.sha256)
        before += part.stat().st_size
    try:
        unfinished.rename(target)
    except OSError as error:
        raise storage_problem(error, target) from error
    yield target


def _fetch(file: RemoteFile, part: Path, web: Web) -> Iterator[int]:
    """Bytes there so far, until all are."""
    attempts = 0
    while True:
        have = part.stat().st_size if part.exists() else 0
        if file.size is not None and have == file.size:
            yield have
            return
        try:
            with web.open(file.url, have) as answer:
                for done in _write(answer, part, have):
                    attempts = 0
                    yield done
                return
        except httpx.TransportError as error:
            attempts += 1
            if attempts >= ATTEMPTS:
                raise _unreachable(file.url, error, have) from error
        except OSError as error:
            raise storage_problem(error, part) from error


def _write(answer: httpx.Response, part: Path, have: int) -> Iterator[int]:
    """Append what comes, or begin anew with a server that cannot go on in the midst."""
    if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
        part.unlink(missing_ok=True)
        raise httpx.ReadError("what was here does not fit what is there")
    _sound(answer)
    goes_on = answer.status_code == httpx.codes.PARTIAL_CONTENT
    done = have if goes_on else 0
    with part.open("ab" if goes_on else "wb") as to:
        for chunk in answer.iter_raw():
            to.write(chunk)
            done += len(chunk)
            yield done
        to.flush()
        os.fsync(to.fileno())


def _check(part: Path, file: RemoteFile, sha256: str | None) -> None:
    """Whether it is what was promised; what is not is removed, or it would spoil the next attempt too."""
    wrong = ""
    if file.size is not None and part.stat().st_size != file.size:
        wrong = f"has {part.stat().st_size:,} bytes instead of {file.size:,}"
    elif sha256 is not None and _hash(part) != sha256.lower():
        wrong = "is not the file of that hash"
    elif file.path.endswith(hub.WEIGHTS):
        try:
            read_header(part)
        except DamagedFile as error:
            wrong = str(error)
    if wrong:
        part.unlink()
        raise ModelUnusable(f"What came as {file.path} {wrong}", fix="try again, or choose another source")


def _hash(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _sound(answer: httpx.Response) -> None:
    if answer.status_code in {401, 403}:
        raise EaselError(f"{answer.url.host} does not hand it out", fix="accept its terms on its page and set HF_TOKEN")
    if answer.is_error:
        raise EaselError(
            f"{answer.url.host} answered {answer.status_code} {answer.reason_phrase}", fix="check the address"
        )


@contextmanager
def _reachable(url: str) -> Iterator[None]:
    """Raises EaselError when nobody answers."""
    try:
        yield
    except httpx.TransportError as error:
        raise _unreachable(url, error, 0) from error


def _unreachable(url: str, error: Exception, have: int) -> EaselError:
    kept = f" after {have / 1e6:,.0f} MB" if have else ""
    return EaselError(
        f"{_host(url)} cannot be reached{kept}",
        fix="check the connection and run this again: it goes on where it stopped" if have
        else "check the connection, or put the file into the models folder yourself",
        detail=f"{type(error).__name__}: {error}",
    )  # fmt: skip


def _allowed(url: str) -> None:
    """Only encrypted, and to nobody's own network; a server on this machine may do without."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    here = host == "localhost" or (address is not None and address.is_loopback)
    private = address is not None and not address.is_global and not here
    if private or not host or (parts.scheme != "https" and not (here and parts.scheme == "http")):
        raise InvalidRequest(f"{url!r} is no address to fetch models from", fix="use one with https", field="model")


def _safetensors(name: str) -> str:
    """`name` as a file's. Raises InvalidRequest for another kind of file: a pickle runs code."""
    name = safe_name(name)
    if not name.endswith(hub.WEIGHTS):
        raise InvalidRequest(
            f"{name!r} is no safetensors file", fix="choose one that is, or give a --name that ends so", field="name"
        )
    return name


def _safe_path(path: str) -> list[str]:
    return [safe_name(part) for part in path.split("/")]


def _host(url: str) -> str:
    return urlsplit(url).netloc
