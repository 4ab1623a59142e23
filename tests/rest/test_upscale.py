"""Upscaling over HTTP: who can, what it will be like, the job, and a look at what came of it."""

from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

import app
from pipelines.core.presets import STARTER_MODELS
from pipelines.jobs.setup import PainterSetup
from pipelines.storage.folder import DataFolder
from tests.rest.conftest import HERE, Here
from tests.rest.test_jobs import ended
from ui.cli.options import Folders


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The studio without its page."""
    data = DataFolder(tmp_path_factory.mktemp("data"))
    with closing(data.open()):
        setup = PainterSetup(
            models=(STARTER_MODELS,), outputs=data.outputs, sources=data.sources, own_models=data.models, device="cpu"
        )
        with app.inside(Here(setup()), Folders(data)) as services:
            application = app.rest_application(services, Folders(data), HERE, None)
            with TestClient(application, base_url="http://127.0.0.1:7860") as made:
                yield made


@pytest.fixture(scope="module")
def source(client: TestClient) -> str:
    held = BytesIO()
    Image.effect_noise((60, 40), 50).convert("RGB").save(held, "PNG")
    return str(client.post("/api/sources", content=held.getvalue()).json()["id"])


def forecast(client: TestClient, **fields: Any) -> dict[str, Any]:
    answer = client.post("/api/upscale/forecast", json=fields)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_everything_that_enlarges_is_named_with_what_it_takes(client: TestClient) -> None:
    told = {one["name"]: one for one in client.get("/api/upscale/upscalers").json()["upscalers"]}
    assert {"lanczos", "bicubic", "nearest", "starter-x4"} <= told.keys()
    network = told["starter-x4"]
    assert (network["way"], network["factor"], network["detail"]) == ("network", 4, "Compact")
    assert not {"flat", "ink"} & told.keys()


def test_what_an_upscale_will_be_like_is_told_before_it_begins(client: TestClient, source: str) -> None:
    told = forecast(client, source=source, upscaler="starter-x4", factor=4.0)
    assert (told["before"], told["after"], told["tiles"], told["problem"]) == ([60, 40], [240, 160], 1, None)
    assert 0 < told["memory"] < told["room"] and 0 < told["file"] < told["free"]
    assert forecast(client, source=source, upscaler="starter-x4", factor=16.0)["tiles"] > 1
    redraw = {"strength": 0.5, "overlap": 0.25, "picture": {"model": "flat", "width": 192, "height": 192}}
    assert forecast(client, source=source, upscaler="starter-x4", factor=8.0, **redraw)["tiles"] == 3 * 2


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"upscaler": "none such"}, "There is no upscaler named 'none such'"),
        ({"width": 32_000, "height": 32_000}, "60 x 40 would become 48000 x 32000"),
        ({"width": 12_000, "height": 8_000, "output": "webp"}, "A WEBP of 12000 x 8000 pixels is too large"),
        ({"upscaler": "starter-x4", "tile": 20}, "Tiles of 20 pixels are too small"),
    ],
)
def test_what_cannot_be_done_is_told_before_it_begins(
    client: TestClient, source: str, fields: dict[str, Any], says: str
) -> None:
    assert says in forecast(client, source=source, **{"upscaler": "lanczos", **fields})["problem"]["problem"]


@pytest.mark.parametrize("fields", [{"factor": 0}, {"factor": 1000}, {"source": "no id"}, {"sclae": 2}])
def test_a_request_that_cannot_be_is_refused(client: TestClient, source: str, fields: dict[str, Any]) -> None:
    for address in ("/api/upscale/forecast", "/api/jobs"):
        answer = client.post(address, json={"kind": "upscale", "source": source, **fields})
        assert answer.status_code == 422 and answer.json()["error"]["fix"]


def test_a_job_upscales_and_the_next_forecast_knows_how_long_it_takes(client: TestClient, source: str) -> None:
    assert forecast(client, source=source, upscaler="bicubic", factor=2.0)["seconds"] is None
    asked = {"kind": "upscale", "source": source, "upscaler": "bicubic", "factor": 2.0, "output": "webp"}
    job = ended(client, client.post("/api/jobs", json=asked).json()["id"])
    image = job["pictures"][0]
    row = client.get(f"/api/images/{image}/facts").json()
    assert (row["width"], row["height"], row["request"]["kind"]) == (120, 80, "upscale")
    answer = client.get(row["url"])
    assert answer.headers["content-type"] == "image/webp"
    with Image.open(BytesIO(answer.content)) as opened:
        assert opened.size == (120, 80)
    assert client.get(row["thumb"]).headers["content-type"] == "image/webp"
    assert forecast(client, source=source, upscaler="bicubic", factor=2.0)["seconds"] > 0


def test_a_part_of_a_result_is_looked_at(client: TestClient, source: str) -> None:
    asked = {"kind": "upscale", "source": source, "upscaler": "nearest", "factor": 8.0}
    image = ended(client, client.post("/api/jobs", json=asked).json()["id"])["pictures"][0]
    address = f"/api/images/{image}/look"
    for query, size in (
        ("width=100", (100, 66)),
        ("width=100&box=0,0,50,25", (50, 25)),
        ("width=64&box=400,200,480,320", (42, 64)),
    ):
        answer = client.get(f"{address}?{query}")
        assert answer.headers["content-type"] == "image/jpeg"
        with Image.open(BytesIO(answer.content)) as opened:
            assert abs(opened.width - size[0]) <= 1 and abs(opened.height - size[1]) <= 1
    for query in ("width=100&box=1,2,3", "width=100&box=900,0,950,10", "width=9999999"):
        assert client.get(f"{address}?{query}").status_code == 422
