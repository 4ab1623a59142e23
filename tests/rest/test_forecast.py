"""What a picture will need is told before it is asked for."""

import time

import pytest
from fastapi.testclient import TestClient

from tests.jobs.studio import Studio


@pytest.fixture
def ready(inside: Studio) -> None:
    """The worker has told of its device."""
    deadline = time.monotonic() + 20
    while inside.queue.device is None and time.monotonic() < deadline:
        time.sleep(0.01)


@pytest.mark.usefixtures("ready")
def test_a_larger_picture_needs_more_of_the_room_there_is(client: TestClient) -> None:
    small, large = (
        client.post("/api/forecast", json={"model": "flat", "width": side, "height": side}).json()
        for side in (64, 1024)
    )
    assert 0 < small["needs"] < large["needs"] < small["room"] == 8_000_000_000
    assert small["placement"] == "whole"


@pytest.mark.usefixtures("ready")
def test_what_is_wrong_with_a_request_is_told_here_too(client: TestClient) -> None:
    answer = client.post("/api/forecast", json={"model": "flatt"})
    assert answer.status_code == 404
    assert answer.json()["error"]["fix"] == "use 'flat'"
