"""Downloads beside the queue: a line that is slow for an hour keeps no picture waiting."""

import secrets
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pipelines.core.error import Conflict, Problem, UnknownName
from pipelines.core.event import Worked
from pipelines.jobs.downloading import Web, download
from pipelines.jobs.worker import problem_of
from pipelines.models.scan import ModelLibrary

AT_ONCE = 3
REMEMBERED = 20
"""Downloads that have ended, for whoever was not looking then."""
PATIENCE = 5.0
"""Seconds that a download may take to end when the studio closes; what it has so far stays in any case."""

State = Literal["running", "finished", "stopped", "failed"]


class DownloadView(BaseModel):
    """A download as it stands this moment."""

    model_config = ConfigDict(frozen=True)

    id: str
    source: str
    """As a person wrote it."""
    state: State = "running"
    name: str = ""
    """What the model is called here; empty until the source has told."""
    done: int = 0
    total: int = 0
    """Bytes; 0 until it is known."""
    problem: Problem | None = None


@dataclass
class _Download:
    view: DownloadView
    stop: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def now(self, **changes: object) -> None:
        """What its thread tells; nothing any more once it was stopped."""
        with self.lock:
            if not self.stop.is_set():
                self.view = self.view.model_copy(update=changes)

    def end(self) -> None:
        with self.lock:
            self.stop.set()
            self.view = self.view.model_copy(update={"state": "stopped"})


class Fetcher:
    """Fetches models into `folder`. What broke off or was stopped goes on where it was when it is asked for again."""

    def __init__(self, folder: Path, models: ModelLibrary, connect: Callable[[], Web] = Web) -> None:
        """`connect`: called once for each download, when it begins."""
        self._folder, self._models, self._connect = folder, models, connect
        self._lock = threading.Lock()
        self._downloads: dict[str, _Download] = {}

    def begin(self, source: str, name: str | None = None) -> DownloadView:
        """Fetch `author/model`, `author/model/file.safetensors` or an https address. Raises Conflict when many run."""
        source = source.strip()
        with self._lock:
            running = [one.view for one in self._downloads.values() if one.view.state == "running"]
            if any(view.source == source for view in running):
                raise Conflict(f"{source} is being fetched already", fix="wait for it", field="source")
            if len(running) >= AT_ONCE:
                raise Conflict(f"{AT_ONCE} downloads are running", fix="wait for one, or stop one", field="source")
            made = _Download(DownloadView(id=secrets.token_hex(8), source=source))
            self._downloads[made.view.id] = made
            self._forget_old()
        made.thread = threading.Thread(target=self._fetch, args=(made, name or None), name="download", daemon=True)
        made.thread.start()
        return made.view

    def views(self) -> list[DownloadView]:
        """The running ones and those that ended a while ago, in the order they were asked for."""
        with self._lock:
            return [one.view for one in self._downloads.values()]

    def stop(self, download: str) -> DownloadView:
        """End it, or take it off the list when it has ended. Raises UnknownName."""
        with self._lock:
            found = self._downloads.get(download)
            if found is None:
                raise UnknownName(f"There is no download {download!r}", fix="reload the page to see those there are")
            if found.view.state == "running":
                found.end()
            else:
                del self._downloads[download]
        return found.view

    def close(self) -> None:
        """End all."""
        with self._lock:
            downloads = list(self._downloads.values())
        for one in downloads:
            one.stop.set()
        for one in downloads:
            if one.thread:
                one.thread.join(PATIENCE)

    def _fetch(self, made: _Download, name: str | None) -> None:
        try:
            web = self._connect()
            with closing(web.client):
                self._follow(made, web, name)
        except Exception as error:  # noqa: BLE001, nobody else would tell of it
            made.now(state="failed", problem=problem_of(error))

    def _follow(self, made: _Download, web: Web, name: str | None) -> None:
        wanted = web.find(made.view.source, name)
        made.now(name=wanted.name, total=wanted.size)
        with closing(download(wanted, self._folder, web)) as work:
            for event in work:
                if made.stop.is_set():
                    return
                if isinstance(event, Worked):
                    made.now(done=event.done, total=event.total)
        self._models.rescan()
        made.now(state="finished")

    def _forget_old(self) -> None:
        ended = [key for key, one in self._downloads.items() if one.view.state != "running"]
        for key in ended[: max(0, len(ended) - REMEMBERED)]:
            del self._downloads[key]
