"""The page's socket: what a page hears, also one that was just reloaded, and that it never stays open but mute."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient, WebSocketTestSession
from starlette.websockets import WebSocketDisconnect

from pipelines.core.event import PictureSaved, Preview, Progress
from tests.jobs.studio import Studio, request
from tests.rest.conftest import application, behind, client, inside  # noqa: F401, the same studio
from ui.web import live
from ui.web.live import Feed


def hear(socket: WebSocketTestSession, until: Callable[[Any], bool], limit: int = 400) -> list[Any]:
    """Frames until one fits: text as parsed JSON, previews as (header, JPEG)."""
    heard: list[Any] = []
    for _ in range(limit):
        message = socket.receive()
        if "bytes" in message and message["bytes"] is not None:
            data = message["bytes"]
            length = int.from_bytes(data[:4], "big")
            frame: Any = (json.loads(data[4 : 4 + length]), data[4 + length :])
        else:
            frame = json.loads(message["text"])
        heard.append(frame)
        if until(frame):
            return heard
    raise AssertionError(f"not heard in {limit} frames: {heard[-3:]}")


def stage(frame: Any) -> str | None:
    return frame["view"]["stage"] if isinstance(frame, dict) and frame["type"] == "view" else None


def is_running(frame: Any) -> bool:
    return stage(frame) == "running" and frame["view"]["share"] > 0


def test_a_page_sees_a_job_from_the_queue_to_its_picture(client: TestClient, inside: Studio) -> None:  # noqa: F811
    with client.websocket_connect("ws://127.0.0.1:7860/ws") as socket:
        job = inside.queue.submit(request(steps=5)).id
        heard = hear(socket, lambda frame: stage(frame) == "done")
    views = [frame for frame in heard if stage(frame)]
    assert {frame["job"] for frame in views} == {job}
    assert is_running(views[-2]) or any(map(is_running, views))
    assert views[-1]["view"]["images"] == list(inside.queue.job(job).pictures)
    assert any(isinstance(frame, tuple) and frame[0]["job"] == job and frame[1] for frame in heard)
    assert any(isinstance(frame, dict) and frame["type"] == "device" for frame in heard)


def test_a_reloaded_page_finds_the_running_job_and_its_preview(client: TestClient, inside: Studio) -> None:  # noqa: F811
    job = inside.queue.submit(request(steps=1000)).id
    inside.wait_for(job, Preview)
    with client.websocket_connect("ws://127.0.0.1:7860/ws") as socket:
        heard = hear(socket, lambda frame: isinstance(frame, tuple))
    assert any(is_running(frame) and frame["job"] == job for frame in heard)
    assert heard[-1][0]["job"] == job
    assert heard[-1][1].startswith(b"\xff\xd8")


@pytest.mark.parametrize("mode", ["now", "after_picture"])
def test_a_stop_is_heard_and_what_the_page_says_is_ignored(
    client: TestClient,  # noqa: F811
    inside: Studio,  # noqa: F811
    mode: str,
) -> None:
    with client.websocket_connect("ws://127.0.0.1:7860/ws") as socket:
        job = inside.queue.submit(request(steps=30, count=50)).id
        hear(socket, is_running)
        socket.send_text("not an order")
        socket.send_bytes(b"nor this")
        client.post(f"/api/jobs/{job}/stop", json={"mode": mode}).raise_for_status()
        hear(socket, lambda frame: stage(frame) == "done")
    assert inside.queue.job(job).state == "stopped"
    assert len(inside.queue.job(job).pictures) == (0 if mode == "now" else 1)


def test_the_device_is_told_at_turns_and_on_its_pulse_only(client: TestClient, inside: Studio) -> None:  # noqa: F811
    with client.websocket_connect("ws://127.0.0.1:7860/ws") as socket:
        inside.queue.submit(request(steps=30))
        heard = hear(socket, lambda frame: stage(frame) == "done")
        heard += hear(socket, is_device)
    assert heard[-1]["view"]["queue"] == 0
    assert sum(map(is_device, heard)) <= len(heard) / 4


def is_device(frame: Any) -> bool:
    return isinstance(frame, dict) and frame["type"] == "device"


def test_a_page_that_cannot_be_told_is_disconnected_so_that_it_comes_back(
    client: TestClient,  # noqa: F811
    inside: Studio,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a mistake of ours")

    with client.websocket_connect("ws://127.0.0.1:7860/ws") as socket:
        hear(socket, is_device)
        monkeypatch.setattr(live, "show", broken)
        inside.queue.submit(request())
        with pytest.raises(WebSocketDisconnect) as closed:
            for _ in range(20):
                socket.receive_text()
    assert closed.value.code == live.SERVER_ERROR


async def _feed_of(*events: Any) -> list[Any]:
    import asyncio

    feed = Feed(asyncio.get_running_loop())
    for event in events:
        feed.listen("job", event)
    return [event for _, event in await feed.take(1)]


def test_a_slow_page_misses_old_previews_but_no_picture() -> None:
    import asyncio

    previews = [Preview(picture=1, step=n, jpeg=b"") for n in (1, 2, 3)]
    progress = [Progress(picture=1, count=2, step=n, steps=3) for n in (1, 2, 3)]
    pictures = [PictureSaved(index=n, seed=n, file="", seconds=1) for n in (0, 1)]
    mixed = [progress[0], previews[0], pictures[0], progress[1], previews[1], pictures[1], progress[2], previews[2]]
    assert asyncio.run(_feed_of(*mixed)) == [pictures[0], pictures[1], progress[2], previews[2]]
