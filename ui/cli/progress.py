"""How far a command is, on a terminal where somebody watches; nothing goes to standard output."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from pipelines.core.event import Worked


@contextmanager
def byte_bar(name: str, *, quiet: bool) -> Iterator[Callable[[Worked], None]]:
    """A bar called `name`; tell it each Worked."""
    console = Console(stderr=True, quiet=quiet)
    named = TextColumn("{task.description}", markup=False)
    columns = (named, BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task(name, total=None)
        yield lambda worked: bar.update(task, completed=worked.done, total=worked.total)


@contextmanager
def count_bar(name: str, *, quiet: bool) -> Iterator[Callable[[Worked], None]]:
    """The same for work that is counted in pieces."""
    console = Console(stderr=True, quiet=quiet)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task(name, total=None)
        yield lambda worked: bar.update(task, completed=worked.done, total=worked.total)
