"""Every state of a tab with made-up data, at its own address (`#generate:error`), for designers and tests.

They are made by `show`, as the real ones are, so that they cannot drift away from them.
"""

from datetime import UTC, datetime
from typing import Any

from pipelines.core.desk import Mixture, PreviewRequest
from pipelines.core.error import Problem
from pipelines.core.event import Event, Failed, Loading, Progress
from pipelines.core.request import read_generate
from pipelines.core.upscale import UpscaleRequest
from pipelines.jobs.queue import JobView
from ui.web.show import show
from ui.web.words import Words

JOB_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
REQUEST = read_generate({"prompt": "a red house under a night sky", "count": 4, "batch_size": 4, "seed": 1837402})
PICTURE = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 64 64'%3E"
    "%3Crect width='64' height='64' fill='%23182048'/%3E%3Ccircle cx='50' cy='12' r='6' fill='%23f4e8c0'/%3E"
    "%3Crect y='44' width='64' height='20' fill='%23304e34'/%3E"
    "%3Crect x='20' y='34' width='24' height='18' fill='%23c83c32'/%3E"
    "%3Cpath d='M16 34 32 22l16 12z' fill='%23784a38'/%3E%3C/svg%3E"
)


def states(words: Words) -> dict[str, dict[str, Any]]:
    """State -> what `stage.js` puts on the stage."""
    job = JobView(id="sample", request=REQUEST, state="running", submitted=JOB_BEGAN, attempt=1)

    def view(event: Event) -> dict[str, Any]:
        return show(job, event, words).model_dump(mode="json")

    refused = Problem(
        problem=words("error.sample"),
        fix=words("error.sample.fix"),
        field="batch_size",
        detail=words("error.sample.detail"),
    )
    return {
        "empty": {"name": "empty"},
        "loading": {"name": "running", "view": view(Loading(model="flat", size=25_000_000)), "picture": PICTURE},
        "running": {
            "name": "running",
            "view": view(Progress(picture=2, count=4, step=12, steps=20, seconds_left=9.0)),
            "picture": PICTURE,
        },
        "done": {"name": "done", "picture": _picture()},
        "error": {"name": "error", "view": view(Failed(problem=refused))},
        "disabled": {"name": "disabled", "problem": _worker_gone(words).model_dump()},
    }


def desk_states(words: Words) -> dict[str, dict[str, Any]]:
    """State -> what stands in for the real `{shown, live, problem, check, lacking}` of the mixing desk."""
    picture = REQUEST.model_copy(update={"count": 1})
    mix = PreviewRequest(model="", mixture=Mixture(models=("flat", "ink")), picture=picture)
    job = JobView(id="sample", request=mix, state="running", submitted=JOB_BEGAN, attempt=1)

    def line(event: Event) -> str:
        view = show(job, event, words)
        return " · ".join(filter(None, (view.title, view.line)))

    shown = _picture() | {"request": mix.model_dump(mode="json")}
    running = Progress(picture=1, count=1, step=12, steps=20, seconds_left=1.4)
    refused = Problem(problem=words("desk.error.sample"), fix=words("desk.error.sample.fix"))
    return {
        "empty": {"lacking": ["B"]},
        "loading": {"shown": shown, "live": {"line": line(Loading(model="flat", size=25_000_000)), "share": 0}},
        "running": {"shown": shown, "live": {"line": line(running), "share": 0.6, "url": PICTURE}},
        "done": {"shown": shown},
        "error": {"problem": refused.model_dump()},
        "disabled": {"shown": shown, "check": {"refused": _worker_gone(words).model_dump()}},
    }


def canvas_states(words: Words) -> dict[str, dict[str, Any]]:
    """State -> what stands in for what the canvas really shows."""
    job = JobView(id="sample", request=REQUEST, state="running", submitted=JOB_BEGAN, attempt=1)

    def view(event: Event) -> dict[str, Any]:
        return show(job, event, words).model_dump(mode="json")

    refused = Problem(problem=words("error.sample"), fix=words("error.sample.fix"), field="batch_size")
    size = {"before": PICTURE, "width": REQUEST.width, "height": REQUEST.height}
    return {
        "empty": {"isEmpty": True},
        "loading": size | {"view": view(Loading(model="flat", size=25_000_000))},
        "running": size
        | {"view": view(Progress(picture=2, count=4, step=12, steps=20, seconds_left=9.0)), "preview": PICTURE},
        "done": size | {"after": _picture()},
        "error": size | {"problem": view(Failed(problem=refused))},
        "disabled": size | {"obstacle": _worker_gone(words).problem},
    }


def upscale_states(words: Words) -> dict[str, dict[str, Any]]:
    """State -> what stands in for what the Upscale page really shows."""
    before = {"id": "sample", "url": PICTURE, "width": 192, "height": 192, "name": "house.png"}
    asked = UpscaleRequest(source="0" * 64, upscaler="starter-x4", factor=4.0, picture=REQUEST)
    job = JobView(id="sample", request=asked, state="running", submitted=JOB_BEGAN, attempt=1)
    tries = asked.model_copy(update={"noise_levels": (0, 20, 60, 120)})

    def view(event: Event) -> dict[str, Any]:
        return show(job, event, words).model_dump(mode="json")

    def result(request: UpscaleRequest, index: int = 0, infotext: str = "Seams: 1.02") -> dict[str, Any]:
        told = {"id": index, "index": index, "kind": "upscale", "asked": request.model_dump(mode="json")}
        return _picture() | told | {"width": 768, "height": 768, "infotext": infotext}

    refused = Problem(problem=words("upscale.sample"), fix=words("upscale.sample.fix"), field="tile")
    running = Progress(picture=1, count=1, step=12, steps=40, seconds_left=9.0)
    several = [result(tries, index) for index in range(4)]
    rows = [
        {"name": "boat.jpg", "state": "done", "source": before | {"id": "boat"}},
        {"name": "house.png", "state": "running", "source": before, "line": words("stage.tile", tile=3, tiles=12)},
        {"name": "notes.png", "state": "broken", "problem": _no_picture(words).model_dump()},
        {"name": "purple castle at sunset.png", "state": "queued", "source": before | {"id": "castle"}},
    ]
    costs = [
        (words("upscale.cost.time"), words("upscale.time.seconds", n=9)),
        (words("upscale.cost.tiles"), "40"),
        (words("upscale.cost.memory"), "1.2 GB"),
        (words("upscale.cost.file"), "1.1 MB"),
    ]
    size = {"before": before, "costs": costs}
    return {
        "empty": {"name": "empty", "obstacle": words("upscale.no_picture")},
        "source": size | {"name": "source"},
        "loading": size | {"name": "running", "view": view(Loading(model="starter-x4", size=2_500_000))},
        "running": size | {"name": "running", "view": view(running), "preview": PICTURE},
        "done": size | {"name": "done", "after": result(asked)},
        "kept": size | {"name": "done", "after": result(asked, infotext="Finished: 46%")},
        "side": size | {"name": "done", "after": result(asked), "mode": "side"},
        "levels": size | {"name": "done", "after": several[0], "mode": "levels", "siblings": several},
        "batch": size
        | {"name": "running", "view": view(running), "preview": PICTURE}
        | {"rows": [{"key": str(k), "images": [], "share": 0.25} | row for k, row in enumerate(rows)]},
        "error": size | {"name": "error", "view": view(Failed(problem=refused))},
        "disabled": size | {"name": "source", "obstacle": f"{refused.problem}; {refused.fix}"},
    }


def _no_picture(words: Words) -> Problem:
    return Problem(problem=words("canvas.no_image"), fix=words("canvas.no_image.fix"))


def _worker_gone(words: Words) -> Problem:
    return Problem(problem=words("disabled.sample"), fix=words("disabled.sample.fix"))


def _picture() -> dict[str, Any]:
    return {
        "id": 0, "url": PICTURE, "thumb": PICTURE, "width": REQUEST.width, "height": REQUEST.height,
        "seed": REQUEST.seed, "index": 0, "job": "sample", "file": "sample.png", "seconds": 3.1,
        "infotext": "", "missing": False, "known": True, "request": REQUEST.model_dump(mode="json"),
    }  # fmt: skip
