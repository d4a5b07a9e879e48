"""Forked processes are started, signalled and waited for as those of `subprocess`."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_S, wait_until
from tutor.lesson_server.forkserver import ForkedProcess, ForkServer


@pytest.fixture(scope="module")
def servers() -> Iterator[ForkServer]:
    forks = ForkServer("tests.lessons.forked")
    yield forks
    forks.close()


def run(servers: ForkServer, *arguments: str, **where: object) -> tuple[int, str, str]:
    """Run a process; returns its status, what it printed and its errors."""
    reading, out = os.pipe()
    errors, err = os.pipe()
    with open(os.devnull) as null, os.fdopen(reading) as printed, os.fdopen(errors) as told:
        child = servers.start(arguments, [null.fileno(), out, err, out], **where)  # type: ignore[arg-type]
        for number in (out, err):
            os.close(number)
        text, wrong = printed.read(), told.read()
    return child.wait(PATIENCE_S), text, wrong


class Waiting:
    """A process that waits for the end of its standard input."""

    def __init__(self, servers: ForkServer) -> None:
        stdin, self.input = os.pipe()
        self.output, stdout = os.pipe()
        self.child: ForkedProcess = servers.start(["wait"], [stdin, stdout, 2])
        os.close(stdin)
        os.close(stdout)
        assert os.read(self.output, 100) == b"waiting\n"

    def __enter__(self) -> ForkedProcess:
        return self.child

    def __exit__(self, *_: object) -> None:
        os.close(self.input)
        os.close(self.output)
        self.child.wait(PATIENCE_S)


def test_the_status_is_what_main_returns(servers: ForkServer) -> None:
    assert run(servers, "exit", "0") == (0, "", "")
    assert run(servers, "exit", "7") == (7, "", "")
    assert run(servers, "leave", "8") == (8, "", "")


def test_an_exception_is_printed(servers: ForkServer) -> None:
    status, _, wrong = run(servers, "break")
    assert status == 1
    assert wrong.endswith("RuntimeError: broken\n")


def test_it_is_a_process_of_its_own(servers: ForkServer, tmp_path: Path) -> None:
    _, text, _ = run(servers, "tell", directory=str(tmp_path), environment={"NAME": "val\udcffue"})
    assert json.loads(text) == [["tell"], str(tmp_path), {"NAME": "val\udcffue"}, True]
    _, text, _ = run(servers, "tell")
    assert json.loads(text)[1] == os.getcwd()


def test_it_has_the_descriptors_that_it_was_given_and_no_others(servers: ForkServer) -> None:
    with Waiting(servers), Waiting(servers):
        _, text, _ = run(servers, "descriptors")
    told, _, numbers = text.partition("[")
    assert told == "the fourth"
    assert numbers == "0, 1, 2, 3, 4]\n"  # the last is that of the list


def test_it_is_waited_for(servers: ForkServer) -> None:
    waiting = Waiting(servers)
    with waiting as child:
        assert child.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0)
    assert child.poll() == child.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_it_is_signalled(servers: ForkServer, number: signal.Signals) -> None:
    with Waiting(servers) as child:
        child.send_signal(number)
        assert child.wait(PATIENCE_S) == (-number if number != signal.SIGINT else 1)
        child.send_signal(number)  # nobody is there


def test_a_signal_from_elsewhere_is_told(servers: ForkServer) -> None:
    with Waiting(servers) as one, Waiting(servers) as other:
        os.kill(other.pid, signal.SIGKILL)
        assert other.wait(PATIENCE_S) == -signal.SIGKILL
        assert one.poll() is None
        one.terminate()
        assert one.wait(PATIENCE_S) == -signal.SIGTERM


def test_threads_start_and_wait_at_the_same_time(servers: ForkServer) -> None:
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda number=number: found.append(run(servers, "exit", str(number))[0]))
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert sorted(found) == list(range(8))


def test_processes_that_nobody_waits_for_are_buried(servers: ForkServer) -> None:
    waiting = Waiting(servers)
    pid = waiting.child.pid
    with waiting:
        del waiting.child._line
        waiting.child.returncode = 0
    wait_until(lambda: not alive(pid), "the process is gone")
    assert run(servers, "exit", "3")[0] == 3


def test_without_its_fork_server_a_process_ends_and_the_next_one_starts() -> None:
    forks = ForkServer("tests.lessons.forked")
    with Waiting(forks) as child:
        assert forks._process is not None
        forks._process.kill()
        forks._process.wait(PATIENCE_S)
        assert run(forks, "exit", "5")[0] == 5
        assert child.wait(PATIENCE_S) == -signal.SIGKILL
    wait_until(lambda: not alive(child.pid), "the process is gone")
    forks.close()


def test_a_module_that_cannot_be_imported_is_told() -> None:
    with pytest.raises(OSError, match="No module named"):
        ForkServer("tests.lessons.nowhere").start([], [0, 1, 2])


def test_a_closed_fork_server_starts_again_when_it_is_needed() -> None:
    forks = ForkServer("tests.lessons.forked")
    for _ in range(2):
        assert run(forks, "exit", "6")[0] == 6
        process = forks._process
        forks.close()
        forks.close()
        assert process is not None
        assert process.returncode == 0


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_it_can_be_a_copy_of_a_process_that_has_loaded_everything() -> None:
    script = (
        "import os, tests.lessons.forked\n"
        "from tutor.lesson_server.forkserver import ForkServer\n"
        "servers = ForkServer('tests.lessons.forked')\n"
        "servers.copy()\n"
        "print(servers.start(['exit', '5'], [0, 1, 2]).wait(60), flush=True)\n"
        "servers.start(['copy'], [os.open('/dev/null', os.O_RDONLY), 1, 2]).wait(60)\n"
        "servers.close()\n"
        "os.waitpid(-1, os.WNOHANG)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=Path.cwd(), timeout=PATIENCE_S
    )
    assert done.stdout == "5\n"
    assert done.stderr.splitlines()[-1] == "ChildProcessError: [Errno 10] No child processes", "it has ended"
