"""A search proposes, has it painted, and hears what is better; it can be left and gone on with."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pipelines.core.blocks import SD
from pipelines.core.desk import Mixture
from pipelines.core.error import Conflict, InvalidRequest, UnknownName
from pipelines.core.recipe import Mix
from pipelines.core.request import GenerateRequest
from pipelines.core.search import Search
from pipelines.jobs.searching import Searcher, SearchView
from pipelines.storage.searches import SearchBook
from tests.jobs.sketcher import grey
from tests.jobs.studio import Studio, studio

HALF = Mixture(models=("flat", "ink"), mix=Mix(blocks={"alpha": (0.5,) * len(SD)}))


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Studio]:
    with studio(tmp_path / "data", step_seconds=0.001) as made:
        yield made


@pytest.fixture
def searcher(inside: Studio) -> Iterator[Searcher]:
    with closing(Searcher(inside.queue, inside.images, SearchBook(inside.database))) as made:
        yield made


def search(**more: object) -> Search:
    asked = {"mixture": HALF, "picture": GenerateRequest(steps=1), "blocks": SD.names, "together": True}
    return Search.model_validate({**asked, **more})


def until(searcher: Searcher, key: str, done: Callable[[SearchView], bool]) -> SearchView:
    deadline = time.monotonic() + 30
    while not done(view := searcher.view(key)):
        assert time.monotonic() < deadline, view
        time.sleep(0.01)
    return view


def asks(view: SearchView) -> bool:
    return view.state == "asking"


def weights(inside: Studio, view: SearchView, number: int) -> float:
    """The mean of all weights of a trial, as its picture says."""
    image = next(one.image for one in view.trials if one.number == number)
    assert image
    request = inside.images.get(image).request
    assert request and request.kind == "preview"
    pixel = grey(request).getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return pixel[0] / 255


def test_a_person_is_shown_what_stands_on_the_desk_and_something_new(inside: Studio, searcher: Searcher) -> None:
    view = until(searcher, searcher.begin(search()).id, asks)
    assert (view.best, view.new, [one.score for one in view.trials]) == (0, 1, [0.0, None])
    assert weights(inside, view, 0) == pytest.approx(0.5, abs=0.01) != weights(inside, view, 1)


def test_whoever_wins_stands_above_and_whoever_loses_below(searcher: Searcher) -> None:
    key = searcher.begin(search()).id
    for better in ("new", "best", "same", "new"):
        until(searcher, key, asks)
        searcher.answer(key, better)
    view = until(searcher, key, asks)
    assert [one.score for one in view.trials] == [0.0, 1.0, 0.0, 1.0, 2.0, None]
    assert (view.best, view.new) == (4, 5)


def test_a_person_who_likes_it_bright_is_shown_brighter_mixes(inside: Studio, searcher: Searcher) -> None:
    key = searcher.begin(search()).id
    for _ in range(25):
        view = until(searcher, key, asks)
        assert view.best is not None and view.new is not None
        brighter = weights(inside, view, view.new) > weights(inside, view, view.best)
        searcher.answer(key, "new" if brighter else "best")
    assert view.best is not None and weights(inside, view, view.best) > 0.7


def test_a_picture_is_come_near_to_without_anybody(inside: Studio, searcher: Searcher) -> None:
    bright = search(mixture=Mixture(models=("flat", "ink"), mix=Mix(blocks={"alpha": (0.8,) * len(SD)})))
    shown = until(searcher, searcher.begin(bright).id, asks).trials[0].image
    key = searcher.begin(search(judge="likeness", reference=shown)).id
    until(searcher, key, lambda view: view.state == "resting")
    searcher.go_on(key, 40)
    view = until(searcher, key, lambda view: view.state == "resting" and len(view.trials) == 41)
    best = next(one for one in view.trials if one.number == view.best)
    assert best.score is not None and best.score > -0.05, "0.3 apart at the beginning"
    assert view.trials[0].score == pytest.approx(-0.3, abs=0.01)


def test_a_program_of_ones_own_may_judge(inside: Studio, tmp_path: Path) -> None:
    program = tmp_path / "judge.py"
    look = "print('dark:', -Image.open(sys.argv[1]).getpixel((0, 0))[0])"
    program.write_text(f"import sys\nfrom PIL import Image\n{look}")
    command = f"'{sys.executable}' '{program}'"
    with closing(Searcher(inside.queue, inside.images, SearchBook(inside.database), command)) as searcher:
        view = searcher.begin(search(judge="scorer"))
        view = until(searcher, view.id, lambda view: view.state == "resting")
        assert view.trials[0].score == -128
        program.write_text("print('lovely')")
        searcher.go_on(view.id, 3)
        view = until(searcher, view.id, lambda view: view.problem is not None)
        assert view.problem and view.problem.problem == "The program that judges pictures gave no number"
        assert view.trials[0].score == -128 and view.state == "resting"


def test_it_can_be_stopped_and_gone_on_with_by_another_studio(inside: Studio, searcher: Searcher) -> None:
    shown = until(searcher, searcher.begin(search()).id, asks).trials[0].image
    key = searcher.begin(search(judge="likeness", reference=shown)).id
    searcher.go_on(key, 100)
    until(searcher, key, lambda view: len(view.trials) > 3)
    searcher.stop(key)
    stopped = until(searcher, key, lambda view: view.state == "resting")
    assert 3 <= len(stopped.trials) < 100 and stopped.left == 0
    with closing(Searcher(inside.queue, inside.images, SearchBook(inside.database))) as later:
        assert key in later.all()
        later.go_on(key, 2)
        view = until(later, key, lambda view: view.state == "resting" and len(view.trials) >= len(stopped.trials) + 2)
        judged = [one for one in stopped.trials if one.score is not None]
        assert list(view.trials[: len(judged)]) == judged


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"blocks": ["IN99"]}, "no block IN99"),
        ({"low": 1.0, "high": 0.0}, "nothing between"),
        ({"judge": "likeness"}, "which picture"),
        ({"mixture": Mixture(models=("flat", "ink"))}, "no alpha for each block"),
    ],
)
def test_what_cannot_be_looked_for_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        search(**wrong)


def test_what_is_not_there_is_refused(searcher: Searcher) -> None:
    with pytest.raises(InvalidRequest, match="no program that judges pictures; start it with --scorer"):
        searcher.begin(search(judge="scorer"))
    with pytest.raises(UnknownName):
        searcher.begin(search(judge="likeness", reference=999))
    with pytest.raises(UnknownName):
        searcher.view("nobody")
    key = searcher.begin(search()).id
    with pytest.raises(Conflict, match="no pair"):
        searcher.answer(key, "new")
    until(searcher, key, asks)
