"""How a node of a cluster starts as a process, and what it says when it cannot, beside a real one."""

import socket
import subprocess
from pathlib import Path

import pytest

from tests.clients.ours import serve
from tests.clients.test_starting import lines, told
from tests.real import Program, find_servers, free_port
from tests.waiting import PATIENCE_S


def real_told(program: Program, folder: Path, *arguments: str) -> tuple[list[str], int]:
    """What a real server says that cannot start, and its exit status."""
    done = subprocess.run(
        [program.path, *arguments], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=PATIENCE_S,
    )  # fmt: skip
    return lines(done.stdout), done.returncode


def both(folder: Path, *arguments: str) -> tuple[str, str]:
    """Return the last lines of ours and of a real server, which both must have ended with status 1."""
    said, status = told(folder, *arguments)
    assert status == 1
    program = next(iter(find_servers()), None)
    if program is None:
        return said[-1], said[-1]
    real_said, real_status = real_told(program, folder, *arguments)
    assert real_status == 1
    return said[-1], real_said[-1]


def test_two_nodes_cannot_have_one_nodes_conf(tmp_path: Path) -> None:
    with serve("--cluster-enabled", "yes", "--dir", str(tmp_path)):
        said, status = told(tmp_path, "--cluster-enabled", "yes", "--port", str(free_port()))
    assert status == 1
    assert said[-1] == (
        "# Sorry, the cluster configuration file nodes.conf is already used by a different Redis Cluster node. "
        "Please make sure that different nodes use different cluster configuration files."
    )


def test_a_bus_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = ["--cluster-enabled", "yes", "--bind", "127.0.0.1", "--cluster-port", str(port)]
        ours, real = both(tmp_path, *words, "--port", str(free_port()))
    assert ours == f"# Failed listening on port {port} (cluster), aborting."
    assert real.startswith(f"# Failed listening on port {port} (cluster)")


def test_a_port_that_leaves_none_for_the_bus(tmp_path: Path) -> None:
    alone = "127.0.0.77"  # connections of other programs take ports of this height, at 127.0.0.1
    ours, real = both(tmp_path, "--cluster-enabled", "yes", "--bind", alone, "--port", "55536")
    assert ours == real
    assert ours.startswith("# Redis port number too high.")


@pytest.mark.parametrize("damage", ["master,boss", "short"])
def test_a_damaged_nodes_conf_is_refused_and_kept(tmp_path: Path, damage: str) -> None:
    line = f"{'a' * 40} :7000@17000 {damage}\n"
    (tmp_path / "nodes.conf").write_text(line)
    said, status = told(tmp_path, "--cluster-enabled", "yes", "--port", str(free_port()))
    assert status == 1
    assert said[-2:] == [
        f'# Unrecoverable error: corrupted cluster config file "{line.strip()}".',
        "# nodes.conf, line 1: 3 fields instead of 8 or more",
    ]
    assert (tmp_path / "nodes.conf").read_text() == line


def test_a_node_that_starts_again_has_its_name(tmp_path: Path) -> None:
    names = []
    for _ in range(2):
        with serve("--cluster-enabled", "yes", "--dir", str(tmp_path)) as served:
            names += [line.split("I'm ")[1].strip() for line in served.log if ", I'm " in line]
    assert len(names) == 2 and names[0] == names[1]
    assert (tmp_path / "nodes.conf").read_text().startswith(names[0])
