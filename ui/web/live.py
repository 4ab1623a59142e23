"""The page's own WebSocket: every job's events, live previews, the memory gauge. The page only listens.

Text frames are JSON (`view`, `device`); a preview is one binary frame: 4 bytes big-endian header length, a JSON header
(`job`, `picture`, `step`, and of a part of a larger picture its `box`), then the JPEG. A slow page loses old previews
and progress, never a picture or an end.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from time import monotonic
from typing import get_args

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from pipelines.core.event import End, Event, Loading, Preview, Progress, Queued, Restarted
from pipelines.jobs.queue import JobQueue, JobView
from pipelines.models.scan import ModelLibrary
from ui.web.show import show, show_device
from ui.web.words import Words

log = logging.getLogger(__name__)

GAUGE_SECONDS = 2.0
"""How often a page hears of the device; it also keeps the connection from falling asleep."""

SERVER_ERROR = 1011

TURNS = (Queued, Loading, Restarted, *get_args(End))
"""Events that change the queue or the memory: the page hears of the device at once."""


class Feed:
    """Events on their way to one page. Filled from the queue's threads, emptied by the page's own task.

    Previews and progress that the page was too slow to take are replaced by the newest of their job.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: dict[tuple[str, object], tuple[str, Event]] = {}
        self._filled = asyncio.Event()
        self._serial = count()

    def listen(self, job: str, event: Event) -> None:
        """The queue's listener: returns at once, from any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._add, job, event)

    def _add(self, job: str, event: Event) -> None:
        kind = type(event).__name__ if isinstance(event, Preview | Progress) else next(self._serial)
        self._waiting.pop((job, kind), None)
        self._waiting[job, kind] = job, event
        self._filled.set()

    async def take(self, timeout: float) -> list[tuple[str, Event]]:
        """What has come since the last call; empty after `timeout` seconds of silence."""
        try:
            async with asyncio.timeout(timeout):
                await self._filled.wait()
        except TimeoutError:
            return []
        self._filled.clear()
        taken, self._waiting = list(self._waiting.values()), {}
        return taken


@asynccontextmanager
async def feed(queue: JobQueue) -> AsyncIterator[Feed]:
    """A feed that listens to the queue as long as the page is there."""
    made = Feed(asyncio.get_running_loop())
    leave = queue.watch(made.listen)
    try:
        yield made
    finally:
        leave()


def routes(queue: JobQueue, models: ModelLibrary, words: Words) -> APIRouter:
    """`/ws`. Its Origin is checked by the gate in front of the whole application."""
    router = APIRouter()

    @router.websocket("/ws")
    async def live(socket: WebSocket) -> None:
        await socket.accept()
        async with feed(queue) as events:
            await _converse(socket, _send(socket, Told(queue, models, words), events))

    return router


async def _converse(socket: WebSocket, send: Coroutine[None, None, None]) -> None:
    """Sends until the page leaves. A failure closes the connection: the page comes back, instead of waiting mutely."""
    try:
        async with asyncio.TaskGroup() as both:
            sending = both.create_task(send)
            await _until_it_leaves(socket)
            sending.cancel()
    except* WebSocketDisconnect:
        pass
    except* Exception as failed:
        log.error("The page could not be told what happens; it will connect again", exc_info=failed)
        await socket.close(SERVER_ERROR)


async def _until_it_leaves(socket: WebSocket) -> None:
    """What the page says is not for us: its orders are HTTP requests, which are answered."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


@dataclass(frozen=True)
class Told:
    """What a page hears of, and in which words."""

    queue: JobQueue
    models: ModelLibrary
    words: Words


async def _send(socket: WebSocket, told: Told, events: Feed) -> None:
    queue, words, known = told.queue, told.words, told.models.revision
    await _send_present(socket, queue, words)
    pulse = monotonic() + GAUGE_SECONDS
    while True:
        taken = await events.take(max(0.0, pulse - monotonic()))
        for job, event in taken:
            await _send_event(socket, queue.job(job), event, words)
        if monotonic() >= pulse or any(isinstance(event, TURNS) for _, event in taken):
            await _send_device(socket, queue, words)
            if known != (known := told.models.revision):
                await socket.send_text(json.dumps({"type": "models"}))
            pulse = monotonic() + GAUGE_SECONDS


async def _send_event(socket: WebSocket, job: JobView, event: Event, words: Words) -> None:
    if isinstance(event, Preview):
        await socket.send_bytes(preview_frame(job.id, event))
    else:
        view = show(job, event, words)
        await socket.send_text(json.dumps({"type": "view", "job": job.id, "view": view.model_dump()}))


async def _send_present(socket: WebSocket, queue: JobQueue, words: Words) -> None:
    """What a page that just opened, or was reloaded, must know: every active job, and the running one's preview."""
    await _send_device(socket, queue, words)
    for job in queue.active():
        view = show(job, None, words)
        await socket.send_text(json.dumps({"type": "view", "job": job.id, "view": view.model_dump()}))
        if job.preview is not None:
            await socket.send_bytes(preview_frame(job.id, job.preview))


async def _send_device(socket: WebSocket, queue: JobQueue, words: Words) -> None:
    view = show_device(queue.device, len(queue.active()), words)
    await socket.send_text(json.dumps({"type": "device", "view": view.model_dump()}))


def preview_frame(job: str, preview: Preview) -> bytes:
    """The binary frame of a preview."""
    told = preview.model_dump(include={"picture", "step", "box"}, exclude_none=True)
    header = json.dumps({"job": job, **told}).encode()
    return len(header).to_bytes(4, "big") + header + preview.jpeg
