"""redis-cli --cluster and -c in a lesson's shell, on simulated machines."""

import re

import pytest

from tutor.lesson.multi_server import MachinesServer
from tutor.lesson.reading import parse_lesson
from tutor.lesson.shell import Shell

pytestmark = pytest.mark.long

ADDRESSES = ("172.16.6.18", "172.16.6.57", "172.16.6.58", "172.16.6.59")
ALL = " ".join(f"{address}:6379" for address in ADDRESSES[:3])
CREATE = f"redis-cli --cluster create {ALL} --cluster-yes"
SERVERS = "\n".join(
    f'  r{number}: {{address: {address}, config: {{cluster-enabled: "yes", cluster-node-timeout: 2000, '
    'protected-mode: "no", repl-diskless-sync-delay: 0}}'
    for number, address in enumerate(ADDRESSES, start=1)
)
LESSON = parse_lesson(
    f"""---
id: clustered
title: Clustered
chapter: 8
order: 1
minutes: 5
wrong_idea: none
servers:
{SERVERS}
terminals:
  r1: {{server: r1}}
---

## One

Text.
""",
    "clustered.md",
)


@pytest.fixture
def shell():
    made = MachinesServer(LESSON, seed=1)
    yield Shell(made.machines, "r1")
    made.close()


def test_a_cluster_is_created_used_and_checked(shell):
    text = shell.run(CREATE)
    assert text.endswith("[OK] All 16384 slots covered.\n") and "\033" not in text
    shell.run("sleep 3")
    assert shell.run("redis-cli SET foo 1") == "(error) MOVED 12182 172.16.6.58:6379\n"
    assert shell.run("redis-cli -c SET foo 1") == "OK\n"
    assert shell.run("redis-cli -c GET foo") == '"1"\n'
    assert shell.run("redis-cli -h 172.16.6.57 -c INCR foo") == "(integer) 2\n"
    assert "1 keys in 3 masters" in shell.run("redis-cli --cluster check 172.16.6.58:6379")
    assert "172.16.6.57:6379: PONG\n" in shell.run("redis-cli --cluster call 172.16.6.18:6379 PING")
    assert shell.run("redis-cli --cluster info 172.16.6.18:6379 | grep OK") == "[OK] 1 keys in 3 masters.\n"


def test_what_is_asked_is_answered_by_a_pipe_or_not_at_all(shell):
    assert "Add --cluster-yes" in shell.run(CREATE.replace("--cluster-yes", ""))
    assert "Nodes configuration updated" not in shell.run(f"echo no | {CREATE.replace('--cluster-yes', '')}")
    assert "Nodes configuration updated" in shell.run(f"echo yes | {CREATE.replace('--cluster-yes', '')}")


def test_waiting_for_a_join_ends(shell):
    shell.run("redis-cli -h 172.16.6.58 CONFIG SET cluster-announce-bus-port 1")
    text = shell.run(CREATE)
    assert "Waiting for the cluster to join\n...." in text
    assert "(stopped after 60 seconds)" in text


def test_a_command_is_substituted(shell):
    name = shell.run("redis-cli --raw CLUSTER MYID").strip()
    assert re.fullmatch("[0-9a-f]{40}", name)
    assert shell.run("echo $(redis-cli CLUSTER MYID)") == f"{name}\n"
    shell.run(CREATE)
    shell.run("sleep 3")
    move = "redis-cli --cluster reshard 172.16.6.18:6379 --cluster-from all --cluster-slots 3 --cluster-yes"
    text = shell.run(f"{move} --cluster-to $(redis-cli -h 172.16.6.57 CLUSTER MYID)")
    assert text.count("Moving slot") == 6
    added = shell.run("redis-cli --cluster add-node 172.16.6.59:6379 172.16.6.18:6379 --cluster-slave")
    assert "[OK] New node added correctly." in added


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("redis-cli --cluster", "--cluster help lists the commands"),
        ("redis-cli --cluster nonsense", "Unknown --cluster subcommand"),
        ("redis-cli --cluster check 172.16.6.99:6379", "Could not connect to Redis at 172.16.6.99:6379"),
        ("redis-cli --cluster help", "Cluster Manager Commands:"),
        ("redis-cli -c", "For the prompt of redis-cli, use its terminal"),
        ("redis-cli -c -r 2 PING", "-c goes with a single command"),
    ],
)
def test_what_does_not_work_is_told(shell, line, said):
    assert said in shell.run(line)
