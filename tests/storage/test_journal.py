import pytest

from pipelines.core.error import Problem
from pipelines.core.request import GenerateRequest
from pipelines.core.stop import StopMode
from pipelines.storage.database import Database
from pipelines.storage.journal import UNREADABLE, Journal

REQUEST = GenerateRequest(prompt="a “hill”\n日本", seed=2**32 - 1, cfg=0.1, sampler="ddim")


@pytest.fixture
def journal(database: Database) -> Journal:
    return Journal(database)


def test_a_request_survives_the_journal(journal: Journal) -> None:
    journal.add("a", REQUEST)
    record = journal.find("a")
    assert record is not None
    assert (record.request, record.state, record.attempt) == (REQUEST, "queued", 0)


def test_jobs_wait_in_the_order_they_were_accepted(journal: Journal) -> None:
    for job in ("c", "a", "b"):
        journal.add(job, REQUEST)
    assert [record.id for record in journal.recover()] == ["c", "a", "b"]


def test_a_job_that_ran_when_the_studio_ended_waits_again_and_its_attempt_counts(journal: Journal) -> None:
    journal.add("a", REQUEST)
    assert journal.begin("a") == 1
    (record,) = journal.recover()
    assert (record.state, record.attempt) == ("queued", 1)
    assert journal.begin("a") == 2


def test_a_job_that_was_put_back_did_not_use_up_an_attempt(journal: Journal) -> None:
    journal.add("a", REQUEST)
    journal.begin("a")
    journal.put_back("a")
    assert journal.recover()[0].attempt == 0


def test_jobs_that_ended_are_not_taken_up_again(journal: Journal) -> None:
    problem = Problem(problem="It broke", fix="repair it", detail="…")
    for job in ("a", "b", "c"):
        journal.add(job, REQUEST)
    journal.end("a", "finished")
    journal.end("b", "stopped")
    journal.end("c", "failed", problem)
    assert journal.recover() == []
    failed = journal.find("c")
    assert failed is not None
    assert (failed.state, failed.problem) == ("failed", problem)


def test_a_job_that_was_asked_to_stop_has_stopped_after_a_crash(journal: Journal) -> None:
    journal.add("a", REQUEST)
    journal.begin("a")
    journal.ask_stop("a", StopMode.AFTER_PICTURE)
    assert journal.recover() == []
    stopped = journal.find("a")
    assert stopped is not None
    assert stopped.state == "stopped"


def test_an_unknown_job_is_not_found(journal: Journal) -> None:
    assert journal.find("nobody") is None


def test_a_job_of_another_version_fails_with_a_reason_and_the_others_go_on(
    journal: Journal, database: Database
) -> None:
    journal.add("a", REQUEST)
    journal.add("b", REQUEST)
    with database.transaction() as db:
        db.exec_driver_sql("""UPDATE job SET request = '{"kind": "paint_with_light"}' WHERE id = 'a'""")
    assert [record.id for record in journal.recover()] == ["b"]
    with database.transaction() as db:
        assert db.exec_driver_sql("SELECT problem FROM job WHERE id = 'a'").scalar_one() == UNREADABLE.model_dump_json()
