"""A worker process that dies, hangs or cannot start: the studio stays, and so does every other job."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from pipelines import storage
from pipelines.core.event import Preview, Restarted
from pipelines.core.stop import StopMode, StopSignal
from pipelines.jobs.process import ProcessWorker
from pipelines.jobs.worker import Work
from tests.jobs.sketcher import Sketching
from tests.jobs.studio import request, studio

STORAGE = Path(storage.__file__).parent


def test_a_job_whose_worker_dies_goes_on_at_its_first_missing_picture(data: Path) -> None:
    with studio(data) as made:
        job, after = made.queue.submit(request("abort once @2", seed=3, count=4)), made.queue.submit(request("after"))
        ended, other = made.ended(job, after)
        assert (ended.state, ended.attempt, other.state) == ("finished", 2, "finished")
        assert ended.restarted is not None
        assert ended.restarted.problem.problem == "The worker crashed"
        assert [made.images.get(image).seed for image in ended.pictures] == [3, 4, 5, 6]
        assert len(list(made.images.of_job(job.id))) == 4


def test_a_picture_that_was_saved_but_never_told_of_is_not_painted_twice(data: Path) -> None:
    with studio(data) as made:
        (ended,) = made.ended(made.queue.submit(request("abort-saved once @1", count=3)))
        assert (ended.state, ended.attempt, len(ended.pictures)) == ("finished", 2, 3)
        assert len(list(made.folder.outputs.rglob("*.png"))) == 3
        assert [made.images.get(image).index for image in ended.pictures] == [0, 1, 2]


def test_a_job_that_kills_its_worker_three_times_fails_and_the_others_run(data: Path) -> None:
    with studio(data) as made:
        poison, good = made.ended(made.queue.submit(request("abort @1", count=2)), made.queue.submit(request("good")))
        assert (poison.state, poison.attempt, len(poison.pictures)) == ("failed", 3, 1)
        assert poison.problem is not None
        assert poison.problem.problem == "This job ended its worker 3 times: The worker crashed"
        assert good.state == "finished"
        assert sum(isinstance(event, Restarted) for event in made.events(poison.id)) == 2


def test_a_worker_killed_by_the_system_is_told_in_plain_words(data: Path) -> None:
    with studio(data) as made:
        job = made.queue.submit(request("long", steps=100))
        made.wait_for(job.id, Preview)
        pid = made.worker.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        made.wait_for(job.id, Restarted)
        restarted = made.queue.job(job.id).restarted
        assert restarted is not None
        assert restarted.problem.problem == "The worker was killed by the system"
        assert "memory" in restarted.problem.fix
        assert made.ended(job)[0].state == "finished"


def test_a_worker_that_dies_without_work_is_replaced_and_costs_no_job_an_attempt(data: Path) -> None:
    with studio(data) as made:
        made.ended(made.queue.submit(request("first")))
        pid = made.worker.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        while made.worker.pid in (None, pid):
            time.sleep(0.01)
        (ended,) = made.ended(made.queue.submit(request("second")))
        assert (ended.state, ended.attempt) == ("finished", 1)


def test_stop_now_ends_a_job_that_hangs(data: Path) -> None:
    with studio(data, stop_seconds=0.5) as made:
        hanging, good = made.queue.submit(request("hang")), made.queue.submit(request("good"))
        made.wait_for(hanging.id, Preview)
        made.queue.stop(hanging.id, StopMode.NOW)
        assert [view.state for view in made.ended(hanging, good)] == ["stopped", "finished"]


def test_an_engine_that_cannot_start_is_said_by_every_job(tmp_path: Path) -> None:
    worker = ProcessWorker(Sketching(tmp_path, cannot_start=True))
    for _ in range(2):
        (end,) = worker.perform(Work(request()), StopSignal())
        assert end.type == "failed"
        assert end.problem.problem == "The engine is broken"
    assert worker.device is not None
    assert worker.device.problem is not None
    worker.close()


def test_a_worker_ends_when_its_studio_is_killed_even_one_that_hangs(data: Path) -> None:
    code = """if True:
        import sys, time
        from pathlib import Path
        from pipelines.core.event import Preview
        from tests.jobs.studio import request, studio
        with studio(Path(sys.argv[1])) as made:
            made.wait_for(made.queue.submit(request("hang")).id, Preview)
            print(made.worker.pid, flush=True)
            time.sleep(1000)
    """
    with subprocess.Popen([sys.executable, "-c", code, str(data)], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        worker = psutil.Process(int(running.stdout.readline()))
        running.kill()
    assert psutil.wait_procs([worker], timeout=5)[1] == []


def test_the_process_of_the_web_pages_loads_no_torch() -> None:
    modules = "pipelines.jobs.queue, pipelines.jobs.process, pipelines.jobs.setup, pipelines.models.scan, "
    modules += ", ".join(f"pipelines.storage.{m.stem}" for m in STORAGE.glob("[a-z]*.py"))
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
