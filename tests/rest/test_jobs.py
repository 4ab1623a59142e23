"""Jobs and pictures over HTTP."""

import time
from io import BytesIO
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from tests.jobs.sketcher import sketch

SMALL = {"prompt": "a hill", "steps": 3, "seed": 100, "width": 64, "height": 64}


def submit(client: TestClient, **fields: object) -> dict[str, Any]:
    answer = client.post("/api/jobs", json=SMALL | fields)
    assert answer.status_code == 202
    made: dict[str, Any] = answer.json()
    return made


def ended(client: TestClient, job: str) -> dict[str, Any]:
    """The job once it has ended."""
    for _ in range(400):
        view: dict[str, Any] = client.get(f"/api/jobs/{job}").json()
        if view["state"] not in {"queued", "running"}:
            return view
        time.sleep(0.05)
    raise AssertionError(f"the job did not end: {view}")


def test_a_job_becomes_pictures_that_can_be_fetched(client: TestClient) -> None:
    view = ended(client, submit(client, count=2)["id"])
    assert view["state"] == "finished"
    listed = client.get("/api/images").json()["images"]
    assert [(row["seed"], row["request"]["prompt"]) for row in listed] == [(101, "a hill"), (100, "a hill")]
    assert [row["id"] for row in reversed(listed)] == view["pictures"]
    picture = client.get(listed[0]["url"])
    assert picture.headers["content-type"] == "image/png"
    assert picture.headers["x-content-type-options"] == "nosniff"
    assert Image.open(BytesIO(picture.content)).tobytes() == sketch(101).tobytes()
    assert Image.open(BytesIO(client.get(listed[0]["thumb"]).content)).format == "WEBP"
    assert client.get(f"/api/images?before={listed[0]['id']}").json()["images"] == listed[1:]


def test_a_running_job_stops_and_a_waiting_one_is_dropped(client: TestClient) -> None:
    first, second = submit(client, steps=1000)["id"], submit(client)["id"]
    assert [view["id"] for view in client.get("/api/jobs").json()] == [first, second]
    for job in (second, first):
        assert client.post(f"/api/jobs/{job}/stop", json={"mode": "now"}).status_code == 200
        assert ended(client, job)["state"] == "stopped"
    assert client.get("/api/images").json()["images"] == []


def test_a_failed_job_says_why(client: TestClient) -> None:
    view = ended(client, submit(client, prompt="raise")["id"])
    assert view["state"] == "failed"
    assert "ZeroDivisionError" in view["problem"]["problem"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"steps": 0}, "steps"),
        ({"steps": "20"}, "steps"),
        ({"width": 100}, "width"),
        ({"sampler": "eulr"}, "sampler"),
        ({"outdir": "/tmp"}, "outdir"),
        ({"seed": -1}, "seed"),
    ],
)
def test_a_bad_request_names_the_field_and_nothing_is_queued(
    client: TestClient, body: dict[str, object], field: str
) -> None:
    answer = client.post("/api/jobs", json=body)
    assert answer.status_code in {404, 422}
    error = answer.json()["error"]
    assert error["field"] == field
    assert error["problem"]
    assert error["fix"]
    assert client.get("/api/jobs").json() == []


NOWHERE = [
    "/api/jobs/none",
    "/api/images/77",
    "/api/images/77/thumb",
    "/api/images/77/facts",
    "/api/nothing",
    "/api/docs",
]


@pytest.mark.parametrize("path", NOWHERE)
def test_what_does_not_exist_is_404_in_the_same_envelope(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert set(answer.json()["error"]) == {"problem", "fix", "field", "detail"}


@pytest.mark.parametrize("path", ["/api/images/..%2f..%2feasel.db", "/api/images/../../easel.db", "/api/images/1e3"])
def test_pictures_are_asked_for_by_number_only(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code in {404, 422}
    assert b"SQLite" not in answer.content


def test_models_and_samplers_are_described_without_paths(client: TestClient) -> None:
    models = client.get("/api/models").json()
    assert models[0]["name"] == "flat"
    assert "path" not in models[0]
    samplers = client.get("/api/samplers").json()
    assert "dpmpp_2m" in [s["key"] for s in samplers["samplers"]]
    assert client.get("/api/schema").json()["properties"]["steps"]["maximum"] == 1000


@pytest.mark.parametrize(
    "path", ["/api/images?limit=999", "/api/images?before=0", f"/api/images?before={10**30}", f"/api/images/{10**30}"]
)
def test_numbers_out_of_range_are_refused_in_the_same_envelope(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 422
    assert set(answer.json()["error"]) == {"problem", "fix", "field", "detail"}


@pytest.mark.parametrize("body", [b"{", b"[]", b'"text"', b"\xff"])
def test_a_body_that_is_no_request_is_refused_in_the_same_envelope(client: TestClient, body: bytes) -> None:
    answer = client.post("/api/jobs", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in {400, 422}
    assert set(answer.json()["error"]) == {"problem", "fix", "field", "detail"}


def test_two_databases_never_share_a_pictures_address(client: TestClient) -> None:
    ended(client, submit(client)["id"])
    row = client.get("/api/images").json()["images"][0]
    assert row["url"].startswith("/api/images/1?v=")
    assert row["thumb"].startswith("/api/images/1/thumb?v=")
