"""Fetching a model when a person asks for it: resumed where it broke off, checked, and in its place only when whole."""

import os
import shutil
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import httpx
from filelock import FileLock, Timeout

from pipelines.core.error import Conflict, EaselError, InvalidRequest, ModelUnusable, StorageProblem
from pipelines.core.event import Worked
from pipelines.models import hub
from pipelines.models.hub import Download, RemoteFile
from pipelines.storage.files import make_folder, safe_name, storage_problem

REDIRECTS = 5
ATTEMPTS = 4
"""Connections in a row that may break without coming further than any before."""
SPARE_BYTES = 512 * 1024 * 1024
UNFINISHED = ".download-"
"""How the folder of what is not whole yet begins: hidden, and found again by the next attempt."""
KEPT_SECONDS = 30 * 24 * 3600
PARTS, VERSION = "parts", "version"
"""What such a folder holds: what will be the model, and a note about the file on its way."""


@dataclass
class Web:
    """The only door to the network."""

    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=30, follow_redirects=False))
    token: str | None = field(default_factory=lambda: os.environ.get("HF_TOKEN"), repr=False)
    """For repositories that ask who one is; goes to the hub alone."""
    pause: float = 1.0
    """Seconds before the second attempt; each later one waits that much longer."""

    def find(self, source: str, name: str | None = None) -> Download:
        """What `source` means: `author/model`, `author/model/file.safetensors`, or an https address.

        Raises InvalidRequest, ModelUnusable, EaselError when the hub cannot be reached.
        """
        if "://" in source:
            url = _address(source)
            hub.check_address(url, at_home=hub.names_this_machine(url))
            own = PurePosixPath(url.path).name
            return Download([RemoteFile(source, own)], _safetensors(name or own))
        repository, file = hub.read_source(source)
        found = Download(hub.files_of(self._listing(repository), repository, file), repository.split("/")[1])
        if found.single:
            return replace(found, name=_safetensors(name or PurePosixPath(found.files[0].path).name))
        return replace(found, name=safe_name(name or found.name))

    @contextmanager
    def open(self, url: str, start: int = 0, version: str = "") -> Iterator[httpx.Response]:
        """The answer to a request for what follows byte `start` of `version` (or for all), redirects followed.

        Raises InvalidRequest for an address that must not be asked, httpx.TransportError.
        """
        at, hub_at = _address(url), _address(hub.endpoint())
        at_home, encrypted = hub.names_this_machine(at) or hub.names_this_machine(hub_at), False
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={start}-"} if start else {})}
        if start and version:
            headers["If-Range"] = version
        for _ in range(REDIRECTS + 1):
            encrypted = encrypted or at.scheme == "https"
            hub.check_address(at, at_home=at_home, encrypted=encrypted)
            own = {"Authorization": f"Bearer {self.token}"} if self.token and hub.same_origin(at, hub_at) else {}
            answer = self.client.send(self.client.build_request("GET", at, headers=headers | own), stream=True)
            try:
                if not answer.has_redirect_location:
                    yield answer
                    return
            finally:
                answer.close()
            at = _address(answer.headers["Location"], at)
        raise EaselError(f"{at.host} sends us round in circles", fix="use the file's own address")

    def _listing(self, repository: str) -> hub.Listing:
        url = f"{hub.endpoint()}/api/models/{repository}?blobs=true"
        try:
            with self.open(url) as answer:
                if answer.status_code in {401, 403, 404}:
                    raise InvalidRequest(
                        f"There is no {repository} on the hub, or it is not open to everybody",
                        fix="check the name; for one that asks who you are, set HF_TOKEN", field="model",
                    )  # fmt: skip
                _sound(answer)
                return hub.read_listing(answer.read())
        except httpx.RequestError as error:
            raise _unreachable(url, error, 0) from error


@dataclass(frozen=True)
class Part:
    """A file on its way."""

    file: RemoteFile
    path: Path
    note: Path
    """Says which version of the file the bytes at `path` are of."""

    def fetch(self, web: Web) -> Iterator[int]:
        """Bytes there so far, until all are. Raises EaselError when the server breaks off again and again."""
        attempts = most = 0
        while (begun := self._begun())[0] != self.file.size or not self.path.exists():
            try:
                with web.open(self.file.url, *begun) as answer:
                    for done in self._write(answer, *begun):
                        if done > most:
                            attempts, most = 0, done
                        yield done
                return
            except httpx.TransportError as error:
                attempts += 1
                if attempts >= ATTEMPTS:
                    raise _unreachable(self.file.url, error, begun[0]) from error
                time.sleep(web.pause * attempts)
        yield begun[0]

    def _begun(self) -> tuple[int, str]:
        """How many bytes can be gone on from, and the version they must be of."""
        have = self.path.stat().st_size if self.path.exists() else 0
        if self.file.size is not None:  # told by a repository, whose addresses name the commit
            return have, ""
        version = self.note.read_text(encoding="utf-8") if self.note.exists() else ""
        return (have, version) if version else (0, "")

    def _write(self, answer: httpx.Response, have: int, version: str) -> Iterator[int]:
        """Append what comes, or begin anew with a server that cannot go on, or has another version now."""
        goes_on = answer.status_code == httpx.codes.PARTIAL_CONTENT
        # Some servers pay no heed to If-Range, or to where a range begins.
        other = bool(version) and hub.version_of(answer.headers) not in {"", version}
        fits = not other and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE or (goes_on and not fits):
            self.path.unlink(missing_ok=True)
            raise httpx.ReadError("what was here does not fit what is there")
        _sound(answer)
        done = have if goes_on else 0
        with self.path.open("ab" if goes_on else "wb") as to:
            if not goes_on:  # the file is empty now: bytes of one version never meet the note of another
                self.note.write_text(hub.version_of(answer.headers), encoding="utf-8")
            for chunk in answer.iter_raw():
                to.write(chunk)
                done += len(chunk)
                yield done
                if self.file.size is not None and done > self.file.size:
                    break  # it is refused when it is looked at
            to.flush()
            os.fsync(to.fileno())


def download(wanted: Download, folder: Path, web: Web, sha256: str | None = None) -> Generator[Worked | Path]:
    """Fetch `wanted` into `folder`, telling how far it is; the path of the finished model comes last.

    What broke off goes on where it was, in this call or in the next. Raises InvalidRequest, Conflict when the name is
    taken or another run fetches the same, StorageProblem, ModelUnusable for a file that is not what it should be,
    EaselError when nobody answers.
    """
    if sha256 is not None:
        wanted = wanted.promised(sha256)
    target = folder / wanted.name
    make_folder(folder)
    try:
        _sweep(folder)
        with _own_place(folder / f"{UNFINISHED}{wanted.key}") as place:
            if target.exists():
                raise _taken(target)
            yield from _fetch_all(wanted, place, web)
            _publish(place.joinpath(PARTS, *(wanted.paths if wanted.single else ())), target)
    except OSError as error:
        raise storage_problem(error, target) from error
    yield target


def _fetch_all(wanted: Download, place: Path, web: Web) -> Iterator[Worked]:
    inside = [[safe_name(name) for name in path.split("/")] for path in wanted.paths]  # refused before anything comes
    missing = wanted.size - _bytes_in(place / PARTS)
    if shutil.disk_usage(place).free < missing + SPARE_BYTES:
        raise StorageProblem(f"The disk has no room for {missing / 1e9:.1f} GB more", fix="free some space")
    before = 0
    for file, names in zip(wanted.files, inside, strict=True):
        part = Part(file, place.joinpath(PARTS, *names), place / VERSION)
        make_folder(part.path.parent)
        for done in part.fetch(web):
            yield Worked(done=before + done, total=max(wanted.size, before + done))
        if wrong := file.wrong_with(part.path):
            part.path.unlink()  # or it would spoil the next attempt too
            raise ModelUnusable(f"What came as {file.path} {wrong}", fix="try again, or choose another source")
        before += part.path.stat().st_size


@contextmanager
def _own_place(place: Path) -> Iterator[Path]:
    """The folder of an unfinished download, ours alone; it goes when it holds no bytes. Raises Conflict."""
    make_folder(place)
    try:
        with FileLock(place / "lock", blocking=False):
            try:
                yield place
            finally:
                if not _bytes_in(place / PARTS):
                    shutil.rmtree(place, ignore_errors=True)
    except Timeout as error:
        raise Conflict("It is being fetched already", fix="wait for the other") from error


def _publish(whole: Path, target: Path) -> None:
    """Give it its name. Raises Conflict when somebody else has taken that meanwhile."""
    try:
        os.link(whole, target)
    except FileExistsError as error:
        raise _taken(target) from error
    except OSError as error:  # a folder, or a disk that knows no links, as exFAT; looked up first, a moment apart
        if target.exists():
            raise _taken(target) from error
        whole.rename(target)
    else:
        whole.unlink()


def _taken(target: Path) -> Conflict:
    return Conflict(f"There is already a {target.name}", fix="choose another name with --name", field="name")


def _sweep(folder: Path) -> None:
    """Remove what was begun once and not gone on with for a month."""
    for left in folder.glob(f"{UNFINISHED}*"):
        with suppress(OSError):  # gone since a moment, or somebody else's
            if max(one.stat().st_mtime for one in (left, *left.rglob("*"))) < time.time() - KEPT_SECONDS:
                shutil.rmtree(left) if left.is_dir() else left.unlink()


def _bytes_in(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _sound(answer: httpx.Response) -> None:
    if answer.status_code in {401, 403}:
        raise EaselError(f"{answer.url.host} does not hand it out", fix="accept its terms on its page and set HF_TOKEN")
    if not answer.is_success:
        raise EaselError(
            f"{answer.url.host} answered {answer.status_code} {answer.reason_phrase}", fix="check the address"
        )


def _unreachable(url: str, error: Exception, have: int) -> EaselError:
    kept = f" after {have / 1e6:,.0f} MB" if have else ""
    return EaselError(
        f"{httpx.URL(url).netloc.decode()} cannot be reached{kept}",
        fix="check the connection and run this again: it goes on where it stopped" if have
        else "check the connection, or put the file into the models folder yourself",
        detail=f"{type(error).__name__}: {error}",
    )  # fmt: skip


def _address(text: str, base: httpx.URL | None = None) -> httpx.URL:
    """`text` taken apart as the client does it. Raises InvalidRequest."""
    try:
        return base.join(text) if base else httpx.URL(text)
    except (httpx.InvalidURL, ValueError) as error:
        raise hub.no_address(text) from error


def _safetensors(name: str) -> str:
    """`name` as a file's. Raises InvalidRequest for another kind of file: a pickle runs code."""
    name = safe_name(name)
    if not name.endswith(hub.WEIGHTS):
        raise InvalidRequest(
            f"{name!r} is no safetensors file", fix="choose one that is, or give a --name that ends so", field="name"
        )
    return name
