import pickle

import pytest

from pipelines.core.error import (
    Conflict,
    EaselError,
    InvalidRequest,
    ModelUnusable,
    Problem,
    StorageProblem,
    UnknownName,
    WorkerLost,
)

KINDS = [EaselError, InvalidRequest, UnknownName, Conflict, ModelUnusable, StorageProblem, WorkerLost]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_reads_problem_then_fix(kind: type[EaselError]) -> None:
    error = kind("The disk is full", fix="free some space", field="f", detail="d")
    assert str(error) == "The disk is full; free some space"
    assert error.as_problem == Problem(problem="The disk is full", fix="free some space", field="f", detail="d")


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_travels_between_processes(kind: type[EaselError]) -> None:
    again = pickle.loads(pickle.dumps(kind("a", fix="b", field="c", detail="d")))
    assert type(again) is kind
    assert again.as_problem == Problem(problem="a", fix="b", field="c", detail="d")


def test_a_problem_survives_json() -> None:
    problem = Problem(problem="a", fix="b", detail="“c”\n")
    assert Problem.model_validate_json(problem.model_dump_json()) == problem
