"""Every error a person may see: what is wrong, and what to do about it."""

from pydantic import BaseModel, ConfigDict


class Problem(BaseModel):
    """An error as a plain value, as it travels in events, the journal, the REST API and the page."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    problem: str
    fix: str
    field: str | None = None
    """The request field at fault, if there is one; the screen outlines it."""
    detail: str | None = None
    """Technical detail for the folded part of the message; never needed to act."""


class EaselError(Exception):
    """The base of every error a person may see, written `problem; fix` on screen, command line and over HTTP alike."""

    def __init__(self, problem: str, *, fix: str, field: str | None = None, detail: str | None = None) -> None:
        super().__init__(f"{problem}; {fix}")
        self.as_problem = Problem(problem=problem, fix=fix, field=field, detail=detail)

    @property
    def problem(self) -> str:
        return self.as_problem.problem

    @property
    def fix(self) -> str:
        return self.as_problem.fix

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.as_problem)


def _rebuild(kind: type[EaselError], problem: Problem) -> EaselError:
    return kind(problem.problem, fix=problem.fix, field=problem.field, detail=problem.detail)


class InvalidRequest(EaselError):
    """A request field holds a value that cannot work."""


class TooLarge(InvalidRequest):
    """More than is taken: bytes, pixels."""


class UnknownName(EaselError):
    """A name (sampler, model, preset, job, picture) that is not in its table; the fix offers the nearest."""


class Conflict(EaselError):
    """A name that is taken, or a thing somebody else changed meanwhile."""


class ModelUnusable(EaselError):
    """A model that is listed but cannot be loaded: files missing, cut or of a kind that cannot run yet."""


class OutOfMemory(EaselError):
    """The device has no room for what was asked; less of it may fit."""


class StorageProblem(EaselError):
    """A file or the database could not be written or read: full disk, rights, a damaged file."""


class WorkerLost(EaselError):
    """The worker process ended while it had work."""
