"""`sentinel` lines of the configuration file: read in any order, refused with Redis's words, written anew."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.boot import RoleSurroundings, read_config
from engine.config import FatalConfigError, parse_command_line
from engine.config.checks import expand_title
from engine.config.rewriting import Draft
from engine.sentinel.directives import write_lines
from engine.sentinel.process import c_time
from engine.sentinel.role import SentinelRole
from engine.sentinel.watched import Watched
from engine.timers import Clock

MONITOR = "sentinel monitor m 127.0.0.1 6379 2"
ID = "a" * 40


class Files(RoleSurroundings):
    """A machine with one configuration file, one program and one name."""

    def __init__(self, text: str) -> None:
        super().__init__(SentinelRole())
        self.text = text
        self.logs: list[str] = []

    def read(self, path: str) -> bytes:
        return self.text.encode()

    def is_executable(self, path: str) -> bool:
        return path == "/script"

    def resolve(self, host: str) -> str:
        if host != "known":
            raise OSError(-2, "Name or service not known")
        return "10.0.0.9"

    def log(self, level: str, text: str) -> None:
        self.logs.append(text)


def read(*lines: str) -> Watched:
    """Return what lines describe."""
    files = Files("".join(f"{line}\n" for line in lines))
    read_config(parse_command_line(["s.conf"]), "/", files, 5_000_000)
    assert isinstance(files.role, SentinelRole)
    assert files.role.watched is not None
    return files.role.watched


def rewritten(watched: Watched, *lines: str) -> list[str]:
    """Return what becomes of lines."""
    files = Files("")
    config = read_config(parse_command_line([]), "/", files, 0)
    draft = Draft(config, "".join(f"{line}\n" for line in lines).encode(), False)
    write_lines(watched, draft)
    return draft.text().decode().splitlines()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("sentinel monitor m 127.0.0.1 6379 0", "Quorum must be 1 or greater."),
        ("sentinel monitor m 127.0.0.1 70000 2", "Invalid port number."),
        ("sentinel monitor m nowhere 6379 2", "Can't resolve instance hostname."),
        ("sentinel monitor m 127.0.0.1 6379", "Unrecognized sentinel configuration statement."),
        (f"{MONITOR}\n{MONITOR}", "Duplicate master name."),
        ("sentinel nothing", "Unrecognized sentinel configuration statement."),
        ("sentinel down-after-milliseconds x 1", "No such master with specified name."),
        (f"{MONITOR}\nsentinel down-after-milliseconds m 0", "negative or zero time parameter."),
        (f"{MONITOR}\nsentinel failover-timeout m -1", "negative or zero time parameter."),
        (
            f"{MONITOR}\nsentinel notification-script m /none",
            "Notification script seems non existing or non executable.",
        ),
        (
            f"{MONITOR}\nsentinel client-reconfig-script m /none",
            "Client reconfiguration script seems non existing or non executable.",
        ),
        ("sentinel myid abc", "Malformed Sentinel id in myid option."),
        (
            f"{MONITOR}\nsentinel known-replica m 10.0.0.1 1\nsentinel known-replica m 10.0.0.1 1",
            "Duplicate hostname and port for replica.",
        ),
        (
            f"{MONITOR}\nsentinel known-sentinel m 10.0.0.1 1 {ID}\nsentinel known-sentinel m 10.0.0.2 1 {ID}",
            "Duplicate runid for sentinel.",
        ),
        (
            f"{MONITOR}\nsentinel rename-command m GET a\nsentinel rename-command m get b",
            "Same command renamed multiple times with rename-command.",
        ),
        (
            "sentinel deny-scripts-reconfig maybe",
            "Please specify yes or no for the deny-scripts-reconfig options.",
        ),
        ("sentinel resolve-hostnames maybe", "Please specify yes or no for the resolve-hostnames option."),
        ("sentinel announce-hostnames maybe", "Please specify yes or no for the announce-hostnames option."),
        (f"{MONITOR}\nsentinel master-reboot-down-after-period m -5", "negative time parameter."),
        ("replicaoff a", "Bad directive or wrong number of arguments"),
    ],
)
def test_a_wrong_line_is_told_with_its_number_and_the_reason(line: str, reason: str) -> None:
    lines = line.split("\n")
    with pytest.raises(FatalConfigError) as error:
        read("# a comment", *lines)
    text = error.value.text.decode()
    assert f"Reading the configuration file, at line {1 + len(lines)}\n>>> '{lines[-1]}'\n{reason}\n" in text


def test_what_is_said_of_a_master_may_come_before_it() -> None:
    watched = read(
        "sentinel known-replica m known 6380",
        "sentinel down-after-milliseconds m 5000",
        "sentinel leader-epoch m 4",
        MONITOR,
        "sentinel resolve-hostnames yes",
        f"sentinel known-sentinel m 10.0.0.1 26379 {ID}",
        "sentinel known-sentinel m 10.0.0.2 26379",
        "sentinel config-epoch m 7",
        "sentinel current-epoch 3",
    )
    master = watched.masters["m"]
    assert master.down_after_ms == 5000
    assert {each.address.ip: each.down_after_ms for each in master.replicas.values()} == {"10.0.0.9": 5000}
    assert [each.run_id for each in master.sentinels.values()] == [ID]
    assert (master.config_epoch, master.leader_epoch, watched.settings.current_epoch) == (7, 4, 7)


def test_a_name_that_does_not_resolve_yet_is_kept() -> None:
    watched = read("sentinel resolve-hostnames yes", "sentinel monitor m later 6379 2")
    assert watched.masters["m"].address == ("later", "", 6379)


def test_a_server_refuses_the_lines_of_a_sentinel() -> None:
    class Server(Files):
        def __init__(self) -> None:
            super().__init__(f"{MONITOR}\n")
            from engine.boot import Role

            self.role = Role()

    with pytest.raises(FatalConfigError, match="sentinel directive while not in sentinel mode"):
        read_config(parse_command_line(["s.conf"]), "/", Server(), 0)


def test_defaults_that_a_server_does_not_have() -> None:
    config = read_config(parse_command_line(["s.conf"]), "/", Files(MONITOR), 0)
    assert (config.port, config.protected_mode) == (26379, False)


def test_a_rewrite_keeps_lines_where_they_are() -> None:
    lines = [
        "# who is watched",
        MONITOR,
        "sentinel known-slave m 10.0.0.1 6379",
        "",
        "port 26380",
        "sentinel config-epoch m 0",
        "unknown thing",
        "sentinel auth-pass m old",
    ]
    watched = read(*(line for line in lines if line != "unknown thing"))
    watched.settings.my_id = ID
    master = watched.masters["m"]
    master.password = ""
    master.config_epoch = 9
    watched.add_replica(master, "10.0.0.2", 6379)
    assert rewritten(watched, *lines) == [
        "# who is watched",
        MONITOR,
        "sentinel known-replica m 10.0.0.1 6379",
        "",
        "port 26380",
        "sentinel config-epoch m 9",
        "# ??? unknown thing",
        "",
        "# Generated by CONFIG REWRITE",
        f"sentinel myid {ID}",
        "sentinel leader-epoch m 0",
        "sentinel known-replica m 10.0.0.2 6379",
        "sentinel current-epoch 0",
    ]


def test_whatever_is_written_is_read_again() -> None:
    watched = read(MONITOR, "sentinel resolve-hostnames yes")
    settings, master = watched.settings, watched.masters["m"]
    settings.my_id, settings.current_epoch, settings.deny_scripts_reconfig = ID, 12, False
    settings.announce_ip, settings.announce_port = "10.1.1.1", 99
    settings.user, settings.password = "some one", 'with "quotes" and \\'
    master.password, master.user = "two\nlines", "someone"
    master.notification_script = "/script"
    master.client_reconfig_script = "/script"
    master.parallel_syncs, master.reboot_down_after_ms, master.failover_timeout_ms = 3, 4000, 5000
    master.config_epoch, master.leader_epoch = 5, 6
    master.renamed["get"] = "GET", "fetch it"
    watched.add_replica(master, "known", 1)
    watched.add_peer(master, "b" * 40, "10.0.0.3", 26379)
    again = read(*rewritten(watched))
    for mine, theirs in ((settings, again.settings), (master, again.masters["m"])):
        kept = {name: value for name, value in vars(mine).items() if isinstance(value, (str, int, bool, dict))}
        for name in ("replicas", "sentinels"):
            kept.pop(name, None)
        assert {name: getattr(theirs, name) for name in kept} == kept
    assert [each.address for each in again.masters["m"].replicas.values()] == [("10.0.0.9", "10.0.0.9", 1)]
    assert list(again.masters["m"].sentinels) == ["b" * 40]


def test_a_replica_that_has_just_been_promoted_stands_as_the_master() -> None:
    from engine.sentinel.instances import FAILOVER_IN_PROGRESS, RECONF_SLAVES

    watched = read(MONITOR)
    master = watched.masters["m"]
    master.promoted = watched.add_replica(master, "10.0.0.5", 6380)
    master.flags |= FAILOVER_IN_PROGRESS
    master.failover_state = RECONF_SLAVES
    lines = rewritten(watched)
    assert "sentinel monitor m 10.0.0.5 6380 2" in lines
    assert "sentinel known-replica m 127.0.0.1 6379" in lines


def test_times_begin_with_the_process() -> None:
    watched = read(MONITOR)
    assert isinstance(watched.clock, Clock)
    assert watched.masters["m"].link.waiting_since_ms == 5000


def test_the_title_of_the_process_says_what_it_is() -> None:
    config = read_config(parse_command_line(["s.conf"]), "/", Files(MONITOR), 0)
    assert expand_title(config.proc_title_template, "it", config, mode="sentinel") == "it *:26379 [sentinel]"


@given(st.integers(0, 4_000_000_000))
def test_times_are_shown_as_c_shows_them(seconds: int) -> None:
    assert c_time(seconds) == time.asctime(time.gmtime(seconds))
