"""Easel: the composition root and the command line.

    uv run app.py                       the studio on http://127.0.0.1:7860
    uv run app.py generate "a red house on a hill under a night sky" -o house.png
    uv run app.py models list

Every command exits 0 on success, and 2 with one line on stderr (`problem; fix`) on bad input. Heavy libraries are
imported where they are needed, so that `--help` answers at once.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.exceptions import TyperException

from pipelines.core.attention import AUTO
from pipelines.core.error import EaselError
from pipelines.core.presets import STARTER_MODELS
from ui.cli.generate_commands import generate
from ui.cli.lora_commands import lora_app
from ui.cli.mask_commands import mask
from ui.cli.merge_commands import merge
from ui.cli.models_commands import models_app
from ui.cli.options import AttentionOption, DataOption, DeviceOption, Folders, Hardware, ModelsOption, folders
from ui.cli.upscale_commands import upscale

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

    from pipelines.jobs.fetching import Fetcher
    from pipelines.jobs.queue import JobQueue
    from pipelines.jobs.searching import Searcher
    from pipelines.jobs.worker import Worker
    from pipelines.models.scan import ModelLibrary
    from pipelines.storage.images import ImageStore
    from pipelines.storage.shelf import Shelf
    from ui.cli.serve import Address

PLAIN: dict[str, Any] = {
    "footer_links": [], "run_history": False, "show_error": False, "max_file_size": "64mb", "ssr_mode": False,
    "mcp_server": False,
}  # fmt: skip
"""Gradio without what our page does not use: footer, history, server paths in errors, endless uploads."""

ENVIRONMENT = {
    "GRADIO_ANALYTICS_ENABLED": "0",
    "HF_HUB_OFFLINE": "1",
    "DIFFUSERS_DISABLE_REMOTE_CODE": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
}
"""Read by the libraries when they are loaded, here and in the worker.

No network unless a person asks for it, and no code out of model folders. Threads of OpenMP that wait shall sleep: where
a browser or another program shares the cores, spinning ones made a picture take 25 s instead of 1 s (measured).
"""

FAVOURITE = "flat"
"""The model the worker makes ready before the first job."""

app = typer.Typer(no_args_is_help=False, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
app.add_typer(models_app, name="models")
app.add_typer(lora_app, name="lora")


@app.command()
def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on; anything but this machine asks for a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 7860,
    data: DataOption = None,
    models: ModelsOption = None,
    device: DeviceOption = "auto",
    attention: AttentionOption = AUTO,
    scorer: Annotated[
        str, typer.Option(metavar="COMMAND", help="Given a picture's path, prints a number; the desk can search by it.")
    ] = "",
) -> None:
    """Start the studio (what `app.py` alone does)."""
    from ui.cli.serve import Address

    run_studio(Address(host, port), folders(data, models), Hardware(device, attention), scorer)


for command in (generate, mask, upscale, merge):
    app.command()(command)


def run_studio(address: "Address", places: Folders, hardware: Hardware, scorer: str) -> None:
    """Settings -> services -> studio, until it is stopped. Raises EaselError when it cannot start."""
    from pipelines.jobs.process import ProcessWorker
    from pipelines.jobs.setup import PainterSetup
    from ui.cli.serve import new_token

    with address.listen() as listener, closing(places.data.open()):
        # The worker only needs to know where its favourite is: each job brings its model's place along.
        setup = PainterSetup(
            models=(STARTER_MODELS,), outputs=places.data.outputs, sources=places.data.sources,
            own_models=places.data.models,
            device=hardware.device, attention=hardware.attention, favourite=FAVOURITE,
        )  # fmt: skip
        worker = ProcessWorker(setup, guard=places.data.worker_lock)  # loads torch while we load the page below
        token = None if address.is_private else new_token()
        with closing(worker), inside(worker, places, scorer) as services:
            application = web_application(services, places, address, token)
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # the running job is put back, not cut off
            sys.stdout.write(f"Easel is at {address.url(token)}\n")
            sys.stdout.flush()
            uvicorn_server(application).run(sockets=[listener])


@dataclass(frozen=True)
class Inside:
    """The services between the web application and the worker."""

    queue: "JobQueue"
    images: "ImageStore"
    models: "ModelLibrary"
    shelf: "Shelf"
    fetcher: "Fetcher"
    searcher: "Searcher"


@contextmanager
def inside(worker: "Worker", places: Folders, scorer: str = "") -> Iterator[Inside]:
    """Database, picture list and queue around the worker. `scorer`: a command that judges pictures."""
    from pipelines.jobs.checking import check
    from pipelines.jobs.fetching import Fetcher
    from pipelines.jobs.librarian import Librarian
    from pipelines.jobs.queue import JobQueue
    from pipelines.jobs.searching import Searcher
    from pipelines.models.asked import model_of, parts_of
    from pipelines.models.scan import ModelLibrary
    from pipelines.storage.database import Database
    from pipelines.storage.images import ImageStore
    from pipelines.storage.journal import Journal
    from pipelines.storage.searches import SearchBook
    from pipelines.storage.shelf import Shelf
    from pipelines.storage.sources import SourceStore

    with closing(Database(places.data.database)) as database:
        if database.notice:
            sys.stderr.write(f"{database.notice}\n")
        images = ImageStore(database, places.data.outputs)
        images.trim_previews()
        shelf = Shelf(database)
        models = ModelLibrary(places.with_models(), shelf)
        end_watch = models.begin()
        queue = JobQueue(
            Journal(database),
            images,
            worker,
            find_model=partial(model_of, models),
            find_parts=partial(parts_of, models),
            check=partial(check, models, SourceStore(places.data.sources)),
        )
        searcher = Searcher(queue, images, SearchBook(database), scorer)
        with closing(queue), closing(searcher), closing(Fetcher(places.data.models, models)) as fetcher:
            Librarian(queue, models, shelf).begin()
            try:
                yield Inside(queue, images, models, shelf, fetcher, searcher)
            finally:
                end_watch()


def web_application(services: Inside, places: Folders, address: "Address", token: str | None) -> "FastAPI":
    """REST routes, the page's socket, and the page mounted over them."""
    import gradio as gr

    from pipelines.core.presets import Preset, factory_presets
    from pipelines.storage.presets import PresetStore
    from ui.web import studio
    from ui.web.services import WebServices
    from ui.web.words import read_words

    words = read_words()
    presets = PresetStore(places.data.presets, Preset, factory_presets())
    page = studio.build(WebServices(services.queue, services.models, presets, services.shelf), words)
    page.has_launched = True  # else a mounted Gradio skips its check of file inputs
    page._queue.sleep_when_free = 1.0  # nothing of ours goes through it; it would look a thousand times a second
    application = rest_application(services, places, address, token)
    mounted: FastAPI = gr.mount_gradio_app(application, page, path="/", **vars(studio.dress(words)), **PLAIN)
    return mounted


def rest_application(services: Inside, places: Folders, address: "Address", token: str | None) -> "FastAPI":
    """REST routes and the page's socket: all but the page."""
    from pipelines.jobs.tidying import Tidier
    from pipelines.storage.sources import SourceStore
    from ui.rest import desk, models, server
    from ui.web import live
    from ui.web.words import read_words

    library = services.models
    kept = models.Models(library, services.shelf, services.images, Tidier(library, services.shelf), token is None)
    doors = server.Doors(hosts=(*server.Doors.hosts, address.host), token=token)
    blocks = desk.Desk(services.queue, library, services.images, services.shelf, places.block_presets(),
                       places.data.models)  # fmt: skip
    rest = server.RestServices(
        services.queue, services.images, SourceStore(places.data.sources), kept, services.fetcher, blocks,
        services.searcher,
    )  # fmt: skip
    application = server.build(rest, doors)
    application.include_router(live.routes(services.queue, library, read_words()))
    return application


def uvicorn_server(application: "FastAPI") -> "uvicorn.Server":
    """Quiet unless something is wrong; finishes open requests quickly when asked to end."""
    import uvicorn

    return uvicorn.Server(uvicorn.Config(application, log_level="warning", timeout_graceful_shutdown=2))


def arguments(given: list[str]) -> list[str]:
    """`app.py` and `app.py --port 8000` mean `serve`; `app.py models` and `app.py models --json` mean `models list`."""
    for group, command in (([], "serve"), (["models"], "list")):
        rest = given[len(group) :]
        if given[: len(group)] == group and (not rest or (rest[0].startswith("-") and rest[0] != "--help")):
            return [*group, command, *rest]
    return given


def main() -> None:
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        code = app(arguments(sys.argv[1:]), prog_name="app.py", standalone_mode=False)
    except EaselError as error:
        complain(str(error))
    except TyperException as error:
        complain(f"{error.format_message().rstrip('.')}; see --help")
    except (KeyboardInterrupt, typer.Abort):
        raise SystemExit(130) from None
    raise SystemExit(code or 0)


def complain(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    raise SystemExit(2)


if __name__ == "__main__":
    main()
