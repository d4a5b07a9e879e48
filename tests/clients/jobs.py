"""What the job queue's workers run: importable, so that a worker in another process finds it."""

import time


def add(a: int, b: int) -> int:
    return a + b


def total(*, of: list[str]) -> int:
    """Add up the results of other jobs, found by their ids through the connection of the worker."""
    from rq import get_current_job
    from rq.job import Job

    job = get_current_job()
    assert job is not None
    return sum(Job.fetch(each, connection=job.connection).return_value() for each in of)


def fail() -> None:
    raise ValueError("meant to fail")


def fail_once(key: str) -> str:
    """Fail the first time and succeed after it."""
    from rq import get_current_job

    job = get_current_job()
    assert job is not None
    if job.connection.incr(key) == 1:
        raise ValueError("the first time")
    return "done"


def note(key: str, text: str) -> None:
    """Append to a list, so that the order of jobs can be seen."""
    from rq import get_current_job

    job = get_current_job()
    assert job is not None
    job.connection.rpush(key, text)


def forever() -> None:
    """Be stopped by the queue's own time limit."""
    while True:
        time.sleep(0.01)
