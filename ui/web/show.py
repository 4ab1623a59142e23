"""What the page shows of a job: a pure function from its state and its latest event to a View."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, assert_never

from pydantic import BaseModel, ConfigDict

from pipelines.core.desk import LoraRequest, PreviewRequest
from pipelines.core.error import Problem
from pipelines.core.event import (
    Compared,
    DeviceStatus,
    Event,
    Failed,
    Finished,
    Hashed,
    Loading,
    Masked,
    Noted,
    PictureSaved,
    Preview,
    Progress,
    Queued,
    Restarted,
    Stopped,
    Worked,
)
from pipelines.core.inpaint import InpaintRequest
from pipelines.core.request import GenerateRequest
from pipelines.core.sheet import SheetRequest
from pipelines.core.upscale import UpscaleRequest
from pipelines.jobs.queue import JobView
from ui.web.fixes import Fix, fixes
from ui.web.words import Words

SHORT_PROMPT = 60
PAINTS = (GenerateRequest, PreviewRequest, InpaintRequest, SheetRequest, UpscaleRequest)
"""What makes pictures."""


class Stage(StrEnum):
    """What the stage looks like while this job is on it."""

    QUEUED = "queued"
    LOADING = "loading"
    RUNNING = "running"
    DONE = "done"
    ERROR = "error"


class View(BaseModel):
    """A job as the page shows it, in words. A plain value; it travels over the WebSocket as JSON."""

    model_config = ConfigDict(frozen=True)

    stage: Stage
    title: str
    line: str = ""
    last_line: str = ""
    """Instead of `line`, when the person wants the job to stop after the picture at hand."""
    job: str = ""
    kind: str = "generate"
    """Of the request: what is done to models is shown with the models, not on the stage."""
    model: str = ""
    notes: tuple[str, ...] = ()
    """What was found of a model, or made."""
    mask: str = ""
    """Of what was looked for in a picture: the id among the sources."""
    prompt: str = ""
    """The beginning of it, to tell jobs apart in the queue."""
    share: float = 0.0
    """Of the picture at hand, 0 to 1."""
    picture: int = 1
    count: int = 1
    width: int = 0
    height: int = 0
    images: tuple[int, ...] = ()
    """Ids of the finished pictures, oldest first."""
    notice: str = ""
    """Something the person should know although the work goes on."""
    problem: Problem | None = None
    fixes: tuple[Fix, ...] = ()


class DeviceView(BaseModel):
    """The header's gauge and queue pill, in words."""

    model_config = ConfigDict(frozen=True)

    label: str
    memory: str
    share: float
    """Of the memory, 0 to 1."""
    queue: int
    queue_text: str
    problem: Problem | None = None
    models: tuple[str, ...] = ()
    """Those in memory."""


def show(job: JobView, event: Event | None, words: Words) -> View:
    """The job after `event`; None: as it stands, for a page that has just opened."""
    request = job.request
    view = View(
        stage=Stage.RUNNING, title="", job=job.id, kind=request.kind, model=request.model, notes=job.notes,
        mask=job.mask or "", images=job.pictures, notice=_notice(job, words),
    )  # fmt: skip
    if isinstance(request, PAINTS):
        painted = request.painted
        width, height = painted.final_size
        asked = {"count": painted.count, "width": width, "height": height}
        view = view.model_copy(update={"prompt": shorten(painted.prompt), **asked})
    if isinstance(request, UpscaleRequest):
        name = words("upscale.queue", name=request.upscaler)
        view = view.model_copy(update={"prompt": name, "count": request.pictures})
    return view.model_copy(update=_changes(job, event or latest(job), words))


def latest(job: JobView) -> Event:
    """The event that brought the job to its present state."""
    match job.state:
        case "queued":
            return Queued(position=job.position or 1)
        case "running":
            return job.progress or job.worked or job.loading or Queued(position=1)
        case "finished":
            return Finished(seconds=0)
        case "stopped":
            return Stopped()
        case "failed":
            unknown = Problem(problem="The job failed", fix="try again")
            return Failed(problem=job.problem or unknown)


def _changes(job: JobView, event: Event, words: Words) -> dict[str, Any]:  # noqa: PLR0911, one for each event
    match event:
        case Queued(position=position):
            line = words("stage.queued.next") if position <= 1 else words("stage.queued.place", position=position)
            return {"stage": Stage.QUEUED, "title": words("stage.queued"), "line": line}
        case Loading(model=model, size=size):
            title = words("stage.loading", model=model)
            return {"stage": Stage.LOADING, "title": title, "line": words("stage.loading.size", size=memory(size))}
        case Progress():
            return _progress(job, event, words)
        case Preview() | PictureSaved() | Restarted() | Noted() | Compared() | Hashed() | Masked():
            if job.progress is None:
                return _work(job, words)
            return _progress(job, job.progress, words)
        case Worked():
            return _work(job, words)
        case Finished():
            return {"stage": Stage.DONE, "title": words("stage.done"), "share": 1.0}
        case Stopped():
            return {"stage": Stage.DONE, "title": words("stage.stopped")}
        case Failed(problem=problem):
            failed = show_problem(problem, job.request.model_dump(mode="json"), words, retry=True)
            return {name: getattr(failed, name) for name in failed.model_fields_set}
        case _:
            assert_never(event)


def _work(job: JobView, words: Words) -> dict[str, Any]:
    """What is done to a model, and how far it is."""
    if isinstance(job.request, PAINTS):
        return {"title": words("stage.starting")}
    said = {"title": words(f"work.{job.request.kind}", model=job.request.model)}
    if job.worked is None or not job.worked.total:
        return said
    share = job.worked.done / job.worked.total
    if isinstance(job.request, LoraRequest):
        line = words("work.parts", done=job.worked.done, total=job.worked.total)
    else:
        line = words("work.bytes", done=memory(job.worked.done), total=memory(job.worked.total))
    return {**said, "line": line, "share": share}


def _progress(job: JobView, at: Progress, words: Words) -> dict[str, Any]:
    line = words("stage.picture", picture=at.picture, count=at.count) if at.count > 1 else ""
    last_line = words("stage.stops_after")
    if at.seconds_left is not None:
        left = _duration(at.seconds_left, words)
        line = f"{line} · {left}" if line else left
        last_line = f"{last_line} · {_duration(at.seconds_left * _share_of_this(at), words)}"
    return {
        "stage": Stage.RUNNING,
        "title": _title(job, at, words),
        "line": line,
        "last_line": last_line,
        "share": at.step / at.steps,
        "picture": at.picture,
        "count": at.count,
    }


def _title(job: JobView, at: Progress, words: Words) -> str:
    if isinstance(job.request, UpscaleRequest) and at.steps == 1:
        return words("stage.enlarging")
    if not at.step:
        return words("stage.starting")
    if isinstance(job.request, UpscaleRequest) and not (job.request.strength or job.request.noise_levels):
        return words("stage.tile", tile=at.step, tiles=at.steps)
    return words("stage.step", step=at.step, steps=at.steps)


def _share_of_this(at: Progress) -> float:
    """Of the steps that are left, those of the picture at hand, 0 to 1."""
    here = at.steps - at.step
    return here / max(1, here + (at.count - at.picture) * at.steps)


def _notice(job: JobView, words: Words) -> str:
    if job.restarted is None or job.state not in {"queued", "running"}:
        return job.notes[-1] if job.notes and isinstance(job.request, GenerateRequest) else ""
    return words("stage.restarted", problem=job.restarted.problem.problem, picture=len(job.pictures) + 1)


def show_problem(problem: Problem, values: Mapping[str, Any], words: Words, *, retry: bool = False) -> View:
    """A refusal about these values. `retry`: they may work the next time (a job failed; it was not refused)."""
    return View(
        stage=Stage.ERROR,
        title=problem.problem,
        line=problem.fix,
        problem=problem,
        fixes=fixes(problem, values, words, retry=retry),
    )


def show_device(device: DeviceStatus | None, queue: int, words: Words) -> DeviceView:
    """The gauge and the queue pill; `device` is None until the worker has spoken."""
    queue_text = words("queue.count", n=queue) if queue else words("queue.empty")
    if device is None:
        return DeviceView(label=words("device.waiting"), memory="", share=0, queue=queue, queue_text=queue_text)
    used = words("device.memory", used=_gigabytes(device.used), total=_gigabytes(device.total))
    return DeviceView(
        label=device.label,
        memory=used,
        share=min(1.0, device.used / device.total) if device.total else 0.0,
        queue=queue,
        queue_text=queue_text,
        problem=device.problem,
        models=device.models,
    )


def shorten(prompt: str) -> str:
    """The prompt's first line, cut to fit one row."""
    first = prompt.strip().partition("\n")[0]
    return first if len(first) <= SHORT_PROMPT else f"{first[: SHORT_PROMPT - 1].rstrip()}…"


def memory(size: int) -> str:
    """Bytes for people: `25 MB`, `2.0 GB`."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(1, round(size / 1e6))} MB"


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f}" if size < 10e9 else f"{size / 1e9:.0f}"


def _duration(seconds: float, words: Words) -> str:
    if seconds < 90:
        return words("stage.seconds_left", n=max(1, round(seconds)))
    return words("stage.minutes_left", n=round(seconds / 60))
