"""A mask from words over HTTP: asked for like any job, told with the job, served like any picture that was brought."""

import json
from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

import app
from pipelines.jobs.setup import PainterSetup
from pipelines.storage.folder import DataFolder
from tests.models.segmenters import write_clipseg
from tests.rest.conftest import HERE, Here
from tests.rest.test_jobs import ended
from ui.cli.options import Folders


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The whole studio with a segmenter among its models."""
    data = DataFolder(tmp_path_factory.mktemp("data"))
    with closing(data.open()):
        write_clipseg(data.models / "finder")
        setup = PainterSetup(
            models=(), outputs=data.outputs, sources=data.sources, own_models=data.models, device="cpu"
        )
        with app.inside(Here(setup()), Folders(data)) as services:
            application = app.web_application(services, Folders(data), HERE, None)
            with TestClient(application, base_url="http://127.0.0.1:7860") as made:
                yield made


@pytest.fixture
def picture(client: TestClient) -> str:
    buffer = BytesIO()
    Image.effect_noise((70, 50), 80).convert("RGB").save(buffer, format="PNG")
    source: str = client.post("/api/sources", content=buffer.getvalue()).json()["id"]
    return source


def ask(client: TestClient, picture: str, **fields: Any) -> Any:
    order = {"kind": "segment", "model": "finder", "source": picture, "text": "the cat", **fields}
    return client.post("/api/jobs", json=order)


def test_the_job_tells_of_its_mask_which_is_a_source_like_any_other(client: TestClient, picture: str) -> None:
    accepted = ask(client, picture, threshold=None)
    assert (accepted.status_code, accepted.json()["mask"]) == (202, None)
    job = ended(client, accepted.json()["id"])
    assert (job["state"], job["problem"]) == ("finished", None)
    assert client.get(f"/api/sources/{job['mask']}/facts").json()["width"] == 70
    with Image.open(BytesIO(client.get(f"/api/sources/{job['mask']}").content)) as mask:
        assert (mask.format, mask.mode, mask.size) == ("PNG", "L", (70, 50))
        assert np.asarray(mask).any()


def test_the_page_hears_of_the_mask(client: TestClient, picture: str) -> None:
    with client.websocket_connect("ws://127.0.0.1:7860/ws") as socket:
        job = ask(client, picture, threshold=0.0).json()["id"]
        views: list[dict[str, Any]] = []
        while not views or views[-1]["stage"] not in {"done", "error"}:
            if (told := json.loads(socket.receive_text())).get("job") == job:
                views.append(told["view"])
    assert {view["kind"] for view in views} == {"segment"}
    assert views[-1]["stage"] == "done" and views[-1]["mask"] == client.get(f"/api/jobs/{job}").json()["mask"]


def test_nothing_found_is_a_failure_with_a_way_out(client: TestClient, picture: str) -> None:
    job = ended(client, ask(client, picture, threshold=1.0).json()["id"])
    assert (job["state"], job["mask"]) == ("failed", None)
    assert job["problem"]["problem"] == 'Nothing in the picture looks like "the cat"'


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"text": " "}, 422, "There is nothing to look for"),
        ({"model": "flat"}, 422, "'flat' finds nothing in pictures (checkpoint)"),
        ({"model": "findr"}, 404, "There is no model named 'findr'"),
        ({"source": "0" * 64}, 404, "A picture that is to be painted over is not here any more"),
        ({"prompt": "the cat"}, 422, "There is no setting 'prompt'"),
    ],
)
def test_what_cannot_work_does_not_wait(
    fields: dict[str, Any], status: int, said: str, client: TestClient, picture: str
) -> None:
    answer = ask(client, picture, **fields)
    assert (answer.status_code, answer.json()["error"]["problem"]) == (status, said)
    assert client.get("/api/jobs").json() == []


def test_it_is_listed_among_the_models(client: TestClient) -> None:
    listed = {model["name"]: model for model in client.get("/api/models").json()}
    told = {"kind": "segmenter", "detail": "CLIPSeg", "family": None, "problem": None}
    assert told.items() <= listed["finder"].items()
