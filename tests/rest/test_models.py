"""Models over HTTP: the list, notes, pictures beside files, renaming, the trash, and jobs about models."""

import json
import shutil
import time
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from tests.conftest import HOME
from tests.jobs.studio import Studio
from tests.models.synthetic import write_hollow

LORA = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k"
TENSORS = {f"{LORA}.lora_down.weight": (4, 768), f"{LORA}.lora_up.weight": (64, 4)}


@pytest.fixture
def halo(inside: Studio) -> Path:
    """A LoRA in the models folder, with what other programs leave beside one."""
    file = write_hollow(inside.folder.models / "halo.safetensors", TENSORS, {"modelspec.trigger_phrase": "golden glow"})
    Image.new("RGB", (600, 300), "gold").save(file.with_suffix(".preview.png"))
    file.with_suffix(".civitai.info").write_text(
        json.dumps({"description": "Warm light", "trainedWords": ["glowing", "glowing", 3]}), encoding="utf-8"
    )
    inside.models.rescan()
    return file


def named(client: TestClient, name: str) -> dict[str, object]:
    (row,) = [row for row in client.get("/api/models").json() if row["name"] == name]
    return dict(row)


def test_the_list_says_what_a_card_shows_and_never_where_a_file_lies(client: TestClient, halo: Path) -> None:
    row = named(client, "halo")
    assert (row["kind"], row["family"], row["detail"]) == ("lora", "SD 1.x", "LoRA, rank 4")
    assert (row["pictures"], row["favourite"], row["problem"]) == (0, False, None)
    answer = client.get("/api/models").text + client.get("/api/models/detail?name=halo").text
    assert str(halo.parent) not in answer


def test_the_picture_beside_a_file_is_shown_small(client: TestClient, halo: Path) -> None:
    answer = client.get(str(named(client, "halo")["picture"]))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")
    shutil.copy(halo, halo.with_name("bare.safetensors"))
    client.post("/api/models/scan")
    assert client.get("/api/models/preview?name=bare").status_code == 404
    halo.with_suffix(".preview.png").write_bytes(b"<svg onload=alert(1)>")
    assert client.get("/api/models/preview?name=halo").status_code == 507


def test_what_other_programs_wrote_is_told(client: TestClient, halo: Path) -> None:
    detail = client.get("/api/models/detail?name=halo").json()
    assert (detail["description"], detail["triggers"]) == ("Warm light", ["glowing"])
    assert (detail["file"], detail["form"], detail["hashes"]) == ("halo.safetensors", "safetensors", None)
    halo.with_suffix(".civitai.info").write_text("{" * 100_000)
    assert client.get("/api/models/detail?name=halo").json()["triggers"] == ["golden glow"]


def test_notes_are_kept_one_by_one(client: TestClient, halo: Path) -> None:
    client.put("/api/models/note", json={"name": "halo", "favourite": True, "tags": [" light ", "light", ""]})
    answer = client.put("/api/models/note", json={"name": "halo", "notes": "at 0.6"}).json()
    assert (answer["favourite"], answer["tags"], answer["notes"]) == (True, ["light"], "at 0.6")
    assert client.put("/api/models/note", json={"name": "gone", "notes": ""}).status_code == 404
    assert client.put("/api/models/note", json={"name": "halo", "path": "/etc"}).status_code == 422


def test_a_model_gets_another_name_with_all_that_belongs_to_it(client: TestClient, halo: Path) -> None:
    client.put("/api/models/note", json={"name": "halo", "notes": "mine"})
    assert client.post("/api/models/rename", json={"name": "halo", "to": "ember"}).json()["name"] == "ember"
    assert sorted(f.name for f in halo.parent.iterdir()) == [
        "ember.civitai.info", "ember.preview.png", "ember.safetensors",
    ]  # fmt: skip
    assert client.get("/api/models/detail?name=ember").json()["notes"] == "mine"


@pytest.mark.parametrize(
    ("to", "status"), [("../x", 422), ("a/b", 422), ("con", 422), ("", 422), ("other", 409), ("x" * 500, 422)]
)
def test_a_name_that_cannot_be_changes_nothing(to: str, status: int, client: TestClient, halo: Path) -> None:
    shutil.copy(halo, halo.with_name("other.safetensors"))
    before = sorted(halo.parent.iterdir())
    client.post("/api/models/scan")
    assert client.post("/api/models/rename", json={"name": "halo", "to": to}).status_code == status
    assert sorted(halo.parent.iterdir()) == before


def test_the_trash_takes_a_model_and_what_belongs_to_it(client: TestClient, halo: Path) -> None:
    rows = client.post("/api/models/trash", json={"name": "halo"}).json()
    assert "halo" not in {row["name"] for row in rows}
    assert not list(halo.parent.iterdir())
    trash = {file.name for file in Path(HOME.name).rglob("Trash/files/*")}
    assert {"halo.safetensors", "halo.preview.png", "halo.civitai.info"} <= trash


def test_an_order_that_came_late_takes_no_other_model(client: TestClient, halo: Path) -> None:
    """A name that is nearly right, or that means another file by now, is not enough to throw something away."""
    shutil.copy(halo, halo.with_name("h.alo.safetensors"))
    client.post("/api/models/scan")
    key = named(client, "halo")["key"]
    assert client.post("/api/models/trash", json={"name": "ha-lo"}).status_code == 404
    assert client.post("/api/models/trash", json={"name": "halo", "key": "0" * 16}).status_code == 409
    assert client.post("/api/models/trash", json={"name": "halo", "key": key}).status_code == 200
    assert client.post("/api/models/trash", json={"name": "halo", "key": key}).status_code == 404
    assert halo.with_name("h.alo.safetensors").exists()


def test_what_hugging_faces_programs_keep_stays_where_they_put_it(
    client: TestClient, inside: Studio, starter_folder: Path
) -> None:
    kept = inside.folder.models / "hub" / "models--somebody--dream" / "snapshots" / "abc123"
    shutil.copytree(starter_folder, kept)
    client.post("/api/models/scan")
    for path, more in (("rename", {"to": "night"}), ("trash", {})):
        answer = client.post(f"/api/models/{path}", json={"name": "somebody/dream", **more})
        assert answer.status_code == 422 and "Hugging Face" in answer.json()["error"]["problem"]
    assert kept.is_dir()


def test_a_picture_that_another_model_shows_too_stays(client: TestClient, halo: Path) -> None:
    halo.with_suffix(".ckpt").write_bytes(b"\x80\x02}q\x00.")
    rows = client.post("/api/models/scan").json()
    (old,) = (row["name"] for row in rows if row["name"] not in {"halo"} and row["name"].endswith("halo"))
    assert client.post("/api/models/trash", json={"name": old}).status_code == 200
    assert halo.with_suffix(".preview.png").exists()


def test_a_new_file_in_the_place_of_one_thrown_away_begins_without_its_notes(client: TestClient, halo: Path) -> None:
    content = halo.read_bytes()
    client.put("/api/models/note", json={"name": "halo", "hidden": True, "notes": "bad"})
    client.post("/api/models/trash", json={"name": "halo"})
    halo.write_bytes(content)
    client.post("/api/models/scan")
    assert named(client, "halo")["hidden"] is False


def test_the_default_keeps_its_place_under_another_name(
    client: TestClient, inside: Studio, starter_folder: Path
) -> None:
    shutil.copytree(starter_folder, inside.folder.models / "mine")
    client.post("/api/models/scan")
    client.put("/api/models/default", json={"name": "mine"})
    client.post("/api/models/rename", json={"name": "mine", "to": "ours"})
    assert named(client, "ours")["default"] is True


def test_what_comes_with_easel_is_neither_renamed_nor_thrown_away(client: TestClient) -> None:
    for path, order in (("rename", {"name": "flat", "to": "mine"}), ("trash", {"name": "flat"})):
        answer = client.post(f"/api/models/{path}", json=order)
        assert (answer.status_code, answer.json()["error"]["fix"]) == (422, "change a copy")
    assert "flat" in {row["name"] for row in client.get("/api/models").json()}


def test_the_default_is_a_model_that_paints(client: TestClient, halo: Path) -> None:
    assert client.put("/api/models/default", json={"name": "halo"}).status_code == 422
    rows = client.put("/api/models/default", json={"name": "flat"}).json()
    assert [row["name"] for row in rows if row["default"]] == ["flat"]


def test_a_model_that_has_painted_shows_its_latest_picture(client: TestClient, inside: Studio) -> None:
    job = client.post("/api/jobs", json={"prompt": "a hill", "count": 2}).json()
    inside.ended(inside.queue.job(job["id"]))
    row = named(client, "flat")
    assert row["pictures"] == 2
    assert client.get(str(row["picture"])).status_code == 200


def test_a_kind_of_job_that_there_is_not_is_refused(client: TestClient) -> None:
    answer = client.post("/api/jobs", json={"kind": "explode", "model": "flat"})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "kind")


def test_a_folder_is_opened_on_this_machine_or_the_answer_says_why_not(
    client: TestClient, halo: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tools, told = tmp_path / "tools", tmp_path / "told"
    tools.mkdir()
    monkeypatch.setenv("PATH", str(tools))
    answer = client.post("/api/models/reveal", json={"name": "halo"})
    assert answer.status_code == 507
    assert "no file manager" in answer.json()["error"]["problem"]
    (tools / "xdg-open").write_text(f'#!/bin/sh\necho "$1" > {told}\n')
    (tools / "xdg-open").chmod(0o755)
    assert client.post("/api/models/reveal", json={"name": "halo"}).status_code == 200
    deadline = time.monotonic() + 10
    while not told.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert told.read_text().strip() == str(halo.parent)
