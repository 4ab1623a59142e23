"""Models are fetched over HTTP when a person asks, and told of until they are looked at."""

import time

import pytest
import torch
from fastapi.testclient import TestClient
from safetensors.torch import save

import app
from tests.jobs.hub import Hub
from tests.jobs.studio import Studio
from ui.cli.options import Folders
from ui.cli.serve import Address


def test_a_download_is_begun_watched_and_taken_off_the_list(hub: Hub, client: TestClient) -> None:
    hub.repository("somebody/lora", {"lora.safetensors": save({"a": torch.ones(1000)})})
    begun = client.post("/api/downloads", json={"source": "somebody/lora", "name": "mine.safetensors"}).json()
    deadline = time.monotonic() + 20
    while (told := client.get("/api/downloads").json())[0]["state"] == "running" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [(one["id"], one["state"], one["name"]) for one in told] == [(begun["id"], "finished", "mine.safetensors")]
    assert client.delete(f"/api/downloads/{begun['id']}").status_code == 200
    assert client.get("/api/downloads").json() == []
    assert client.delete(f"/api/downloads/{begun['id']}").status_code == 404


@pytest.mark.parametrize("order", [{}, {"source": 3}, {"source": "a/b", "to": "/etc"}, {"source": "x" * 3000}])
def test_an_order_that_makes_no_sense_is_refused(order: dict[str, object], client: TestClient) -> None:
    assert client.post("/api/downloads", json=order).status_code == 422
    assert client.get("/api/downloads").json() == []


def test_an_open_studio_asks_no_address_for_a_stranger(inside: Studio, behind: app.Inside) -> None:
    application = app.web_application(behind, Folders(inside.folder), Address("0.0.0.0", 7860), "secret")
    stranger = TestClient(application, base_url="http://192.168.0.7:7860", headers={"authorization": "Bearer secret"})
    answer = stranger.post("/api/downloads", json={"source": "http://127.0.0.1:1/x.safetensors"})
    assert answer.status_code == 422
    assert answer.json()["error"]["fix"] == "give author/model"
