"""A job queue (rq) on our server: jobs put in by one process and run by a worker in another."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import redis
from rq import Queue, Retry
from rq.job import Job, JobStatus
from rq.registry import FailedJobRegistry, FinishedJobRegistry

from tests.clients import jobs
from tests.clients.ours import ROOT, Served, serve
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="rq's workers need fork")


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serve() as server:
        yield server


@pytest.fixture
def client(served: Served) -> Iterator[redis.Redis]:
    with redis.Redis(port=served.port) as connected:
        connected.flushall()
        yield connected


def work(client: redis.Redis, *queues: str) -> str:
    """Run a worker until its queues are empty; returns its log."""
    port = client.connection_pool.connection_kwargs["port"]
    command = [sys.executable, "-m", "rq.cli", "worker", "--burst", "--url", f"redis://127.0.0.1:{port}/0", *queues]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_jobs_run_and_their_results_come_back(client: redis.Redis) -> None:
    queue = Queue("default", connection=client)
    parts = [queue.enqueue(jobs.add, n, 10) for n in range(5)]
    whole = queue.enqueue(jobs.total, of=[part.id for part in parts], depends_on=parts)
    assert whole.get_status() == JobStatus.DEFERRED
    work(client, "default")
    assert [part.return_value() for part in parts] == [10, 11, 12, 13, 14]
    assert Job.fetch(whole.id, connection=client).return_value() == 60
    assert len(queue) == 0
    assert set(FinishedJobRegistry(queue=queue).get_job_ids()) == {job.id for job in (*parts, whole)}


def test_failures_are_kept_and_tried_again(client: redis.Redis) -> None:
    queue = Queue("default", connection=client)
    failed = queue.enqueue(jobs.fail)
    tried = queue.enqueue(jobs.fail_once, "attempts", retry=Retry(max=2))
    late = queue.enqueue(jobs.forever, job_timeout=1)
    work(client, "default")
    failed.refresh()
    assert failed.get_status() == JobStatus.FAILED
    assert "meant to fail" in (failed.latest_result().exc_string or "")
    assert tried.return_value() == "done" and client.get("attempts") == b"2"
    assert late.get_status(refresh=True) == JobStatus.FAILED
    registry = FailedJobRegistry(queue=queue)
    assert set(registry.get_job_ids()) == {failed.id, late.id}
    registry.requeue(failed)
    assert queue.job_ids == [failed.id]


def test_queues_are_served_in_their_order(client: redis.Redis) -> None:
    low, high = Queue("low", connection=client), Queue("high", connection=client)
    low.enqueue(jobs.note, "order", "low")
    low.enqueue(jobs.note, "order", "first", at_front=True)
    high.enqueue(jobs.note, "order", "high")
    cancelled = high.enqueue(jobs.note, "order", "never")
    cancelled.cancel()
    work(client, "high", "low")
    assert client.lrange("order", 0, -1) == [b"high", b"first", b"low"]
    assert cancelled.get_status(refresh=True) == JobStatus.CANCELED
