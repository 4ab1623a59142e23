"""Looking for a mix: an optimiser proposes weights, a picture is painted, and a person, a picture or a program judges.

Optuna's TPE sampler (Bergstra et al. 2011) reads the past from our own table each time, so that a search can be left
and gone on with. It asks only which trials are better, so that a person's "this one" is enough: whoever beats the best
so far stands one above it, who does not one below.
"""

import logging
import secrets
import shlex
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Literal

import numpy as np
import optuna
from pydantic import BaseModel, ConfigDict

from pipelines.core.error import Conflict, EaselError, InvalidRequest, Problem
from pipelines.core.event import End, Event, Failed, Finished
from pipelines.core.search import Search
from pipelines.core.stop import StopMode
from pipelines.jobs.queue import JobQueue
from pipelines.jobs.worker import problem_of
from pipelines.storage.facts import open_picture
from pipelines.storage.images import ImageStore
from pipelines.storage.searches import SearchBook, Trial

log = logging.getLogger(__name__)
optuna.logging.set_verbosity(optuna.logging.WARNING)

CHANCE = 6
"""Trials drawn by chance before the optimiser has something to go by."""
MOST_AT_ONCE = 200
"""Trials that are asked for at one time."""
SCORER_SECONDS = 120
SIDE = 128
"""Pixels that likeness is told from."""

Better = Literal["best", "new", "same"]


class Told(BaseModel):
    """A trial, as the page sees it."""

    model_config = ConfigDict(frozen=True)

    number: int
    image: int | None
    score: float | None


class SearchView(BaseModel):
    """A search as it stands."""

    model_config = ConfigDict(frozen=True)

    id: str
    state: Literal["painting", "asking", "resting"]
    judge: str
    trials: tuple[Told, ...]
    best: int | None = None
    """The trial that nothing has beaten."""
    new: int | None = None
    """The one that waits for a person's word."""
    left: int = 0
    """Trials still to be made without anybody asking for them."""
    problem: Problem | None = None


@dataclass(frozen=True)
class _Run:
    """A search that is under way in this process."""

    job: str = ""
    """Of the picture that is being painted."""
    number: int = 0
    left: int = 0
    problem: Problem | None = None


class Searcher:
    """Runs searches through the queue. Used from any thread; closed once."""

    def __init__(self, queue: JobQueue, images: ImageStore, book: SearchBook, scorer: str = "") -> None:
        """`scorer`: a command that is given a picture's path and prints a number; more is better."""
        self._queue, self._images, self._book = queue, images, book
        self._scorer = shlex.split(scorer)
        self._lock = threading.RLock()
        self._runs: dict[str, _Run] = {}
        self._leave = queue.watch(self._hear)

    @property
    def has_scorer(self) -> bool:
        """Whether a program can judge."""
        return bool(self._scorer)

    def close(self) -> None:
        """Hear no more."""
        self._leave()

    def begin(self, search: Search) -> SearchView:
        """Look for a mix, from where the desk stands. Raises InvalidRequest, UnknownName, QueueFull, StorageProblem."""
        if search.judge == "scorer" and not self._scorer:
            raise InvalidRequest(
                "This studio has no program that judges pictures", fix="start it with --scorer COMMAND", field="judge"
            )
        if search.reference is not None:
            self._images.path_of(search.reference)
        key = secrets.token_hex(8)
        self._book.begin(key, search)
        with self._lock:
            self._runs[key] = _Run()
            self._propose(key)
        return self.view(key)

    def view(self, key: str) -> SearchView:
        """Raises UnknownName."""
        search = self._book.search(key)
        with self._lock:
            run = self._runs.get(key, _Run())
        trials = self._book.trials(key)
        best, new = _best(trials), next((one for one in trials if one.image and one.score is None), None)
        state: Literal["painting", "asking", "resting"] = "asking" if new else "painting" if run.job else "resting"
        return SearchView(
            id=key, state=state, judge=search.judge, best=best.number if best else None, left=run.left,
            new=new.number if new else None, problem=run.problem,
            trials=tuple(Told(number=one.number, image=one.image, score=one.score) for one in trials),
        )  # fmt: skip

    def all(self) -> list[str]:
        """The ids of all searches, the newest first."""
        return self._book.keys()

    def answer(self, key: str, better: Better) -> SearchView:
        """What a person says of the pair. Raises Conflict when there is none, and what `begin` does."""
        with self._lock:
            trials = self._book.trials(key)
            best, new = _best(trials), next((one for one in trials if one.image and one.score is None), None)
            if best is None or new is None or best.score is None:
                raise Conflict("There is no pair to choose from just now", fix="wait for the next picture")
            above = {"best": -1.0, "same": 0.0, "new": 1.0}[better]
            self._book.judged(key, new.number, best.score + above)
            self._propose(key)
        return self.view(key)

    def go_on(self, key: str, count: int) -> SearchView:
        """Make `count` trials that nobody need judge; of a person's search, the next one. Raises as `begin`."""
        search = self._book.search(key)
        with self._lock:
            run = self._runs.get(key, _Run())
            self._runs[key] = replace(
                run, left=0 if search.judge == "person" else min(count, MOST_AT_ONCE), problem=None
            )
            waits = any(one.image and one.score is None for one in self._book.trials(key))
            if not run.job and not (waits and search.judge == "person"):
                self._propose(key)
        return self.view(key)

    def stop(self, key: str) -> SearchView:
        """No more trials; what was tried stays."""
        with self._lock:
            run = self._runs.get(key, _Run())
            self._runs[key] = replace(run, left=0)
        if run.job:
            self._queue.stop(run.job, StopMode.NOW)
        return self.view(key)

    def _propose(self, key: str) -> None:
        """The next trial goes to the queue."""
        search, trials = self._book.search(key), self._book.trials(key)
        for one in trials:
            if one.image is None:  # the studio ended before its picture was painted
                self._book.drop(key, one.number)
        trials = [one for one in trials if one.image is not None]
        number = max((one.number for one in trials), default=-1) + 1
        at = search.first if number == 0 else _proposed(search, trials, seed=number)
        job = self._queue.submit(search.preview(at, f"search {key} {number}"))
        self._book.propose(key, Trial(number, at))
        self._runs[key] = replace(self._runs.get(key, _Run()), job=job.id, number=number)

    def _hear(self, job: str, event: Event) -> None:
        """The queue's listener."""
        if not isinstance(event, End):
            return
        with self._lock:
            found = next(((key, run) for key, run in self._runs.items() if run.job == job), None)
        if found is None:
            return
        key, run = found
        try:
            self._painted(key, run, event)
        except Exception as error:  # noqa: BLE001, nobody else would tell of it
            with self._lock:
                self._runs[key] = replace(run, job="", left=0, problem=problem_of(error))

    def _painted(self, key: str, run: _Run, event: End) -> None:
        pictures = self._queue.job(run.job).pictures
        if not isinstance(event, Finished) or not pictures:
            with self._lock:
                self._book.drop(key, run.number)
                problem = event.problem if isinstance(event, Failed) else None
                self._runs[key] = replace(run, job="", left=0, problem=problem)
            return
        search, image = self._book.search(key), pictures[0]
        score = self._score(search, image, run.number)
        with self._lock:
            self._book.painted(key, run.number, image)
            if score is not None:
                self._book.judged(key, run.number, score)
            run = self._runs[key] = replace(
                self._runs[key], job="", left=max(0, self._runs[key].left - (run.number > 0))
            )
            if run.left > 0 or (search.judge == "person" and run.number == 0):
                self._propose(key)

    def _score(self, search: Search, image: int, number: int) -> float | None:
        """None: a person will say."""
        path = self._images.path_of(image)
        match search.judge:
            case "person":
                return 0.0 if number == 0 else None
            case "likeness":
                assert search.reference is not None
                return -unlikeness(path, self._images.path_of(search.reference))
            case "scorer":
                return scored(self._scorer, path)


def _best(trials: Sequence[Trial]) -> Trial | None:
    """The first of the highest."""
    judged = [one for one in trials if one.score is not None]
    return max(judged, key=lambda one: (one.score or 0.0, -one.number), default=None)


def _proposed(search: Search, trials: Sequence[Trial], *, seed: int) -> dict[str, float]:
    """What the optimiser wants to see next."""
    ranges: dict[str, optuna.distributions.BaseDistribution] = {
        side: optuna.distributions.FloatDistribution(search.low, search.high) for side in search.sides
    }
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(n_startup_trials=CHANCE, seed=seed)
    )
    for one in trials:
        if one.score is not None and one.at.keys() == ranges.keys():
            study.add_trial(optuna.trial.create_trial(params=one.at, distributions=ranges, value=one.score))
    return {side: float(value) for side, value in study.ask(ranges).params.items()}


def unlikeness(one: Path, other: Path) -> float:
    """How far two pictures lie apart: the root of the mean square of their colours' differences, 0 to 1."""
    first, second = _colours(one), _colours(other)
    return float(np.sqrt(np.mean((first - second) ** 2)))


def _colours(path: Path) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    with open_picture(path) as image:
        return np.asarray(image.convert("RGB").resize((SIDE, SIDE)), np.float64) / 255


def scored(command: Sequence[str], picture: Path) -> float:
    """The number that the person's own program prints for a picture. Raises EaselError."""
    try:
        done = subprocess.run(
            [*command, str(picture)], capture_output=True, text=True, timeout=SCORER_SECONDS, check=True
        )
        value = float(done.stdout.split()[-1])
        if not isfinite(value):
            raise ValueError(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        raise EaselError(
            "The program that judges pictures gave no number", fix="try it by hand on a picture", field="judge",
            detail=str(error),
        ) from error  # fmt: skip
    return value
