"""The desk over HTTP: what it offers, how it stands with a mixture, what was kept, and where a mix comes from."""

import json
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from pipelines.core.blocks import SD, XL
from pipelines.core.desk import Mixture, PreviewRequest
from pipelines.core.event import Progress
from pipelines.core.kinds import Painting
from pipelines.core.methods import METHODS
from pipelines.core.model import Family
from pipelines.core.recipe import METADATA_KEY, Mix
from pipelines.core.request import GenerateRequest
from pipelines.jobs.hashes import NoBook
from pipelines.jobs.merging import merge
from pipelines.jobs.orders import ordered
from pipelines.models.asked import parts
from pipelines.models.headers import read_header
from pipelines.storage.pictures import PictureFiles
from tests.jobs.studio import Studio
from tests.models.synthetic import networks, write_hollow
from tests.storage.samples import picture

LONG = GenerateRequest(prompt="hill", steps=1000)
"""Meanwhile nothing else runs."""
BOTH: Mapping[str, Any] = {"models": ["flat", "ink"]}


def mixed(inside: Studio, name: str, *models: str, mix: Mix | None = None) -> Path:
    """A model that was mixed of others of the library."""
    mixture = Mixture(models=models, mix=mix or Mix())
    target = inside.folder.models / f"{name}.safetensors"
    for _ in merge(ordered(mixture, parts(inside.models, mixture), target), NoBook()):
        pass
    inside.models.rescan()
    return target


def test_it_offers_every_method_with_its_numbers_and_every_curve(client: TestClient) -> None:
    told = client.get("/api/desk").json()
    assert [one["key"] for one in told["methods"]] == [one.key for one in METHODS]
    added = next(one for one in told["methods"] if one["key"] == "add_difference")
    assert (added["low"], added["high"], added["needs_base"]) == (3, 3, True)
    assert {"key", "label", "default", "low", "high", "meaning", "by_block", "per_model"} <= added["parameters"][
        0
    ].keys()
    assert (len(told["blocks"]["sd"]), len(told["blocks"]["xl"])) == (26, 20)
    assert told["layouts"]["SDXL"] == "xl" and "Flux" not in told["layouts"]
    assert all((len(one["sd"]), len(one["xl"]), one["own"]) == (26, 20, False) for one in told["presets"])


class TestCheck:
    def ask(self, client: TestClient, mixture: Mapping[str, Any], name: str = "mix") -> Any:
        return client.post("/api/desk/check", json={"mixture": mixture, "name": name})

    def test_what_can_be_kept_is_told_with_what_it_takes(self, client: TestClient) -> None:
        told = self.ask(client, BOTH).json()
        assert told["problem"] is None and told["family"] == "SD 1.x"
        assert told["matched"] == told["tensors"] > 500
        assert 10e6 < told["size"] < 20e6 and told["free"] > told["size"] and told["memory"] > 0

    def test_precision_decides_how_large_it_gets(self, client: TestClient) -> None:
        whole, half = (self.ask(client, {**BOTH, "mix": {"dtype": dtype}}).json()["size"] for dtype in ("fp32", "fp16"))
        assert whole == 2 * half

    @pytest.mark.parametrize("name", ["", "../x", "con", "a/b"])
    def test_a_name_that_cannot_be_is_told_at_once(self, name: str, client: TestClient) -> None:
        problem = self.ask(client, BOTH, name).json()["problem"]
        assert problem["field"] == "name" and problem["fix"]

    def test_a_name_that_is_taken_too(self, client: TestClient, inside: Studio) -> None:
        (inside.folder.models / "Mix.recipe.json").write_text("{}")
        assert self.ask(client, BOTH).json()["problem"]["problem"] == "There is already a Mix.recipe.json"

    def test_models_of_two_families_are_refused_with_their_letters(self, client: TestClient, inside: Studio) -> None:
        names = networks(Family.SDXL, small=False).original()
        write_hollow(inside.folder.models / "large.safetensors", names)
        inside.models.rescan()
        answer = self.ask(client, {"models": ["flat", "large"]})
        assert answer.status_code == 422
        assert answer.json()["error"]["problem"] == "B is SDXL, A is SD 1.x"
        assert answer.json()["error"]["fix"] == "choose an SD 1.x model for B"

    @pytest.mark.parametrize(
        ("mixture", "said"),
        [
            ({"models": ["flat", "nobody"]}, "no model named 'nobody'"),
            ({"models": ["flat"]}, "Weighted sum mixes 2 models"),
            ({**BOTH, "mix": {"blocks": {"alpha": [1, 2]}}}, "There are 2 block weights"),
            ({**BOTH, "mix": {"elemental": "IN99::1"}}, "IN99"),
            ({**BOTH, "loras": [{"name": "flat"}]}, "'flat' is no LoRA"),
            ({**BOTH, "vae_from": "glow", "mix": {"vae": "file"}}, "has no VAE that can be used"),
            ({"sliders": 1}, "models"),
        ],
    )
    def test_what_cannot_be_mixed_says_why(self, mixture: dict[str, Any], said: str, client: TestClient) -> None:
        answer = self.ask(client, mixture)
        assert answer.status_code in {404, 422}
        assert said in answer.json()["error"]["problem"] and answer.json()["error"]["fix"]


def test_rules_are_counted_or_refused(client: TestClient) -> None:
    assert client.post("/api/desk/rules", json={"text": "IN04:attn:0.8, OUT03-OUT05:ff:0.2"}).json() == {"rules": 2}
    answer = client.post("/api/desk/rules", json={"text": "IN10::1", "layout": "xl"})
    assert answer.status_code == 422 and "IN10" in answer.json()["error"]["problem"]


def test_curves_are_kept_replaced_and_dropped(client: TestClient) -> None:
    def own() -> list[Any]:
        return [one for one in client.get("/api/desk").json()["presets"] if one["own"]]

    def put(name: str, weights: list[float], version: int | None = None) -> int:
        body = {"name": name, "weights": weights, "version": version}
        return client.put("/api/desk/presets", json=body).status_code

    assert put("Mine", [0.5] * 26) == 200
    assert [(one["name"], len(one["sd"]), one["version"]) for one in own()] == [("Mine", 26, 1)]
    assert put("Mine", [0.6] * 26) == 409, "another page must not be overwritten unseen"
    assert put("Mine", [0.6] * 26, 1) == 200 and own()[0]["sd"][0] == 0.6
    assert put("GRAD_V", [0.5] * 26) == 409
    assert put("Short", [0.5] * 7) == put("Wild", [1e9] * 26) == put("../x", [0.5] * 20) == 422
    assert client.delete("/api/desk/presets/Mine").status_code == 200 and own() == []
    assert client.delete("/api/desk/presets/Mine").status_code == 404


class TestDistances:
    def test_they_are_worked_out_by_one_job_however_often_they_are_asked_for(
        self, client: TestClient, inside: Studio
    ) -> None:
        inside.queue.submit(LONG)  # so that nothing else runs
        first, second = (client.post("/api/desk/distances", json={"a": "flat", "b": "ink"}).json() for _ in range(2))
        assert first == second and set(first) == {"job"}
        assert [job.request.kind for job in inside.queue.active()].count("compare") == 1

    def test_what_is_known_is_told_at_once_until_a_file_changes(self, client: TestClient, inside: Studio) -> None:
        from pipelines.jobs.librarian import stamps_of

        mixed(inside, "mix", "flat", "ink")
        told = {"BASE": (0.5, 0.9)}
        inside.shelf.keep_comparison(stamps_of(inside.models, "flat", "mix"), told)
        pair = {"a": "flat", "b": "mix"}
        assert client.post("/api/desk/distances", json=pair).json() == {"blocks": {"BASE": [0.5, 0.9]}}
        mixed_again = inside.folder.models / "mix.safetensors"
        mixed_again.write_bytes(mixed_again.read_bytes())
        assert "job" in client.post("/api/desk/distances", json=pair).json()


class TestRecipes:
    def test_a_model_gives_its_mixture_back(self, client: TestClient, inside: Studio) -> None:
        mix = Mix(blocks={"alpha": (0.25,) * 26}, dtype="fp16")
        mixed(inside, "child", "flat", "ink", mix=mix)
        told = client.get("/api/desk/recipe?model=child").json()
        assert (told["mixture"]["models"], told["missing"], told["picture"]) == (["flat", "ink"], [], None)
        assert Mix.model_validate(told["mixture"]["mix"]) == mix
        assert client.get("/api/desk/recipe?model=flat").status_code == 422

    def test_what_is_no_longer_here_is_named(self, client: TestClient, inside: Studio) -> None:
        mixed(inside, "one", "flat", "ink")
        mixed(inside, "two", "flat", "one")
        (inside.folder.models / "one.safetensors").unlink()
        inside.models.rescan()
        assert client.get("/api/desk/recipe?model=two").json()["missing"] == ["one"]

    def test_a_preview_gives_back_itself_and_a_picture_its_models_recipe(
        self, client: TestClient, inside: Studio
    ) -> None:
        mixed(inside, "child", "flat", "ink", mix=Mix(parameters={"alpha": 0.3}))
        files = PictureFiles(inside.folder.outputs)
        asked = PreviewRequest(mixture=Mixture(models=("ink", "flat")), picture=GenerateRequest(prompt="hill"))
        requests: list[Painting] = [asked, GenerateRequest(model="child"), GenerateRequest(model="flat")]
        rows = [inside.images.add(files.save(picture(n), request, index=0)) for n, request in enumerate(requests)]
        preview, of_child, of_flat = (client.get(f"/api/desk/recipe?image={row.id}") for row in rows)
        assert preview.json()["mixture"]["models"] == ["ink", "flat"] and preview.json()["picture"]["prompt"] == "hill"
        assert of_child.json()["mixture"]["mix"]["parameters"] == {"alpha": 0.3}
        assert of_flat.status_code == 422

    def test_a_family_tree_goes_back_as_far_as_recipes_tell(self, client: TestClient, inside: Studio) -> None:
        child = mixed(inside, "child", "flat", "ink")
        mixed(inside, "grandchild", "child", "ink")
        (inside.folder.models / "virtual.recipe.json").write_text(read_header(child).metadata[METADATA_KEY])
        inside.models.rescan()
        tree = client.get("/api/desk/lineage?model=grandchild").json()
        assert [parent["name"] for parent in tree["parents"]] == ["child", "ink"]
        assert [parent["name"] for parent in tree["parents"][0]["parents"]] == ["flat", "ink"]
        assert tree["method"] == "Weighted sum" and len(tree["parents"][0]["sha256"]) == 64
        assert len(client.get("/api/desk/lineage?model=virtual").json()["parents"]) == 2
        assert client.get("/api/models/detail?name=flat").json()["mixed"] is None


class TestPreviews:
    def test_they_wait_for_nobody_but_each_other(self, inside: Studio) -> None:
        inside.wait_for(inside.queue.submit(LONG).id, Progress)
        last = inside.queue.submit(GenerateRequest(prompt="hill"))
        asked = PreviewRequest(mixture=Mixture(models=("flat", "ink")), picture=GenerateRequest())
        one, two = inside.queue.submit(asked), inside.queue.submit(asked)
        waiting = [job.id for job in inside.queue.active() if job.state == "queued"]
        assert [job for job in waiting if job in {one.id, two.id, last.id}] == [one.id, two.id, last.id]

    def test_they_are_no_pictures_of_the_gallery(self, client: TestClient, inside: Studio) -> None:
        files = PictureFiles(inside.folder.outputs)
        asked = PreviewRequest(mixture=Mixture(models=("flat", "ink")), picture=GenerateRequest())
        inside.images.add(files.save(picture(1), asked, index=0))
        inside.images.add(files.save(picture(2), GenerateRequest(model="flat"), index=0))
        kinds = {kind: client.get(f"/api/images{kind}").json()["images"] for kind in ("", "?kind=preview")}
        assert [row["request"]["kind"] for row in kinds[""]] == ["generate"]
        assert [row["request"]["mixture"]["models"] for row in kinds["?kind=preview"]] == [["flat", "ink"]]
        assert inside.images.by_model()["flat"].pictures == 1


def test_a_sheet_is_told_and_drawn_with_what_it_has(client: TestClient, inside: Studio) -> None:
    inside.queue.submit(LONG)
    body = {
        "kind": "sheet", "mixture": BOTH, "picture": {"seed": 1},
        "columns": [{"label": "0", "parameters": {"alpha": 0}}, {"label": "1", "parameters": {"alpha": 1}}],
        "rows": [{"label": "one", "picture": {"seed": 1}}, {"label": "two", "picture": {"seed": 2}}],
    }  # fmt: skip
    job = client.post("/api/jobs", json=body).json()
    files, cells = PictureFiles(inside.folder.outputs), inside.queue.job(job["id"]).request.cells  # type: ignore[union-attr]
    for index in (0, 3):
        saved = files.save(picture(99, (64, 64)), cells[index], index=index, seed=1 + index // 2, job=job["id"])
        inside.images.add(saved)
    told = client.get(f"/api/desk/sheets/{job['id']}").json()
    assert (told["columns"], told["rows"], sorted(told["cells"])) == (["0", "1"], ["one", "two"], ["0", "3"])
    drawn = Image.open(BytesIO(client.get(f"/api/desk/sheets/{job['id']}/picture").content))
    assert drawn.width > 2 * 64 and drawn.height > 2 * 64
    colours = {drawn.getpixel((drawn.width - 40, drawn.height - 40)), drawn.getpixel((drawn.width - 40, 70))}
    assert (99, 20, 30) in colours and len(colours) == 2, "a cell that is not painted yet is blank"
    assert client.get("/api/desk/sheets/nobody").status_code == 404
    other = inside.queue.submit(GenerateRequest())
    assert client.get(f"/api/desk/sheets/{other.id}").status_code == 404


def test_nothing_tells_where_files_lie(client: TestClient, inside: Studio) -> None:
    mixed(inside, "child", "flat", "ink")
    addresses = ["", "/recipe?model=child", "/lineage?model=child"]
    texts = [client.get(f"/api/desk{address}").text for address in addresses]
    texts.append(client.post("/api/desk/check", json={"mixture": BOTH, "name": "x"}).text)
    assert all(json.dumps(str(inside.folder.root))[1:-1] not in text for text in texts)
    assert len(SD) == 26 and len(XL) == 20
