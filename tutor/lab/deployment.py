"""A laboratory of a real deployment, from what its servers say: `redis-tutor lab new prod/`.

The files are outputs of `INFO replication` (or all of INFO), redis.conf and sentinel.conf files. A node needs only
one of them, and replicas that only their master names need none. Files belong to one node if they are alike but for
their suffix (`a.info`, `a.conf`), or alone in one folder of their own. Which address a node has is found in the name
of its file (`10.0.0.2-6379.info`), in `replica-announce-ip` or `bind`, or in what the others say of it.

Nodes keep their addresses. Of a configuration, what belongs to the machine is left out (paths, TLS, ACL users), and
passwords are replaced: the same by the same, so that who could log in still can. No data is copied.
"""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from engine.config.directives import Config
from engine.config.reading import FatalConfigError, parse
from tutor.lab.clusterfile import MACHINES_MAX, PlannedCluster
from tutor.lab.model import NodeSpec, ScenarioSpec, SentinelSpec
from tutor.lab.naming import node_names
from tutor.lesson.diagnosis.model import nearest
from tutor.lesson.model import Problem
from tutor.lesson.sources import UnreadableSource, read_text
from tutor.prompt.words import shorten, split_args

PORT, SENTINEL_PORT = 6379, 26379
OTHERS = (".pid", ".rdb", ".log", ".aof", ".manifest")  # of files that a server writes, and that say nothing here
LEFT_MAX = 5  # names of files that are not read
INFO, CONF, SENTINEL = "INFO", "redis.conf", "sentinel.conf"
_IN_NAME = re.compile(r"(?<![\d.])(\d{1,3}(?:\.\d{1,3}){3})(?:[-_:](\d{1,5}))?(?![\d])")
_SLAVE = re.compile(r"slave\d+")
_ENTRY = re.compile(r"ip=([^,]+),port=(\d+)")
_OF_THE_MACHINE = re.compile(
    r"(?:port|bind|bind-source-addr|protected-mode|dir|daemonize|supervised|pidfile|logfile|syslog-.*|unixsocket.*|tls-.*|"
    r"include|loadmodule|aclfile|user|masteruser|replicaof|slaveof|(?:replica|slave)-announce-.*|cluster-announce-.*|"
    r"cluster-config-file|oom-score-adj.*|.*_cpulist|.*-cpulist|io-threads.*|set-proc-title|proc-title-template|"
    r"always-show-logo|locale-collate|crash-.*|disable-thp|socket-mark-id|tcp-backlog|sentinel|rename-command)"
)
_DEFAULTS = Config()
_SECRETS = ("requirepass", "masterauth")
_OF_SENTINEL = ("down-after-milliseconds", "failover-timeout", "parallel-syncs", "monitor", "auth-pass")
_FROM_INFO = {"slave_priority": ("replica-priority", "100"), "repl_backlog_size": ("repl-backlog-size", "1048576")}


class DeploymentFile(NamedTuple):
    """A file, and what it says: fields of INFO, or the lines of a configuration with their numbers."""

    path: Path
    kind: str
    fields: dict[str, str]
    lines: list[tuple[int, list[str]]]

    @property
    def replicas(self) -> list[str]:
        """The addresses of the replicas that INFO names."""
        found = []
        for name, value in self.fields.items():
            if _SLAVE.fullmatch(name) and (entry := _ENTRY.match(value)):
                found.append(f"{entry[1]}:{entry[2]}")
        return found

    @property
    def master(self) -> str:
        """The address that it follows; "" if it follows none."""
        if self.kind == INFO:
            host = self.fields.get("master_host", "") if self.fields.get("role") == "slave" else ""
            return f"{host}:{self.fields.get('master_port', PORT)}" if host else ""
        words = self.setting("replicaof") or self.setting("slaveof")
        return f"{words[0]}:{words[1]}" if len(words) == 2 and words != ["no", "one"] else ""

    def setting(self, name: str) -> list[str]:
        """Return the words of the last line of a directive."""
        return next((words[1:] for _, words in reversed(self.lines) if words[0].lower() == name), [])


class _Server:
    """What is known of one server."""

    def __init__(self, files: list[DeploymentFile]) -> None:
        self.files = files
        self.address = ""

    @property
    def path(self) -> Path:
        return self.files[0].path

    @property
    def info(self) -> DeploymentFile | None:
        return next((file for file in self.files if file.kind == INFO), None)

    @property
    def conf(self) -> DeploymentFile | None:
        return next((file for file in self.files if file.kind == CONF), None)

    @property
    def master(self) -> str:
        return next((file.master for file in (self.info, self.conf) if file is not None), "")

    @property
    def names_nobody(self) -> bool:
        return self.info is not None and not self.info.replicas and self.conf is None

    @property
    def port(self) -> str:
        info, conf = self.info, self.conf
        told = info.fields.get("tcp_port", "") if info is not None else ""
        return told or (conf.setting("port")[0] if conf is not None and conf.setting("port") else "")


# -- files


def read_deployment(paths: Iterable[Path]) -> PlannedCluster:
    """Read the files of a deployment; of a folder, all files in it. Raises Problem."""
    paths = list(paths)
    left: list[str] = []  # names of what is neither
    files = [file for path in paths for file in _files(path, left)]
    if not files:
        first = str(next(iter(paths), ""))
        raise Problem(first, 1, "there is no output of INFO and no configuration in this folder")
    servers = [_Server(group) for group in _grouped([file for file in files if file.kind != SENTINEL])]
    sentinels = [file for file in files if file.kind == SENTINEL]
    if not servers and not sentinels:
        raise Problem(str(files[0].path), 1, "this is neither an output of INFO nor a configuration")
    return _planned(servers, sentinels, left)


def _files(path: Path, left: list[str]) -> Iterator[DeploymentFile]:
    if os.path.isdir(path):
        for each in sorted(path.rglob("*")):
            if each.is_file() and not any(part.startswith(".") for part in each.relative_to(path).parts):
                try:
                    yield _parsed(each, read_text(each))
                except (UnreadableSource, _NeitherError):  # it is something else
                    left.append(each.name)
        return
    if path.suffix in OTHERS and path.is_file():
        left.append(path.name)
        return
    try:
        text = read_text(path)
    except UnreadableSource as problem:
        raise Problem(str(path), problem.line, str(problem)) from problem
    try:
        yield _parsed(path, text)
    except _NeitherError as problem:
        raise Problem(*problem.args) from None


class _NeitherError(Exception):
    """A file is neither an output of INFO nor a configuration; the arguments are those of the problem."""


def _parsed(path: Path, text: str) -> DeploymentFile:
    rows = [row.strip() for row in text.splitlines()]
    fields = dict(row.split(":", 1) for row in rows if re.match(r"[a-z0-9_]+:", row))
    if fields.get("role") in ("master", "slave") or {"role", "connected_slaves"} <= fields.keys():
        if fields["role"] not in ("master", "slave"):
            raise Problem(
                str(path), _line_of(rows, "role:"), f"role is master or slave, not {shorten(fields['role'])}"
            )
        if fields["role"] == "slave" and not fields.get("master_host"):
            raise Problem(
                str(path), _line_of(rows, "role:"), "a replica, but master_host is missing: it names no master"
            )
        return DeploymentFile(path, INFO, fields, [])
    lines = [(at, words) for at, row in enumerate(rows, 1) if row and row[0] != "#" and (words := _words(row))]
    if not lines:
        raise _NeitherError(
            str(path), 1, "there is no `role:` line of INFO replication, and no directive of a redis.conf"
        )
    is_sentinel = any(words[:2] == ["sentinel", "monitor"] for _, words in lines)
    known = {
        *Config.DIRECTIVES,
        "replicaof",
        "slaveof",
        "user",
        "sentinel",
        "include",
        "loadmodule",
        "rename-command",
    }
    number, first = next(((at, words) for at, words in lines if words[0].lower() not in known), (0, [""]))
    if number and not is_sentinel:
        near = nearest(first[0].lower(), known)
        more = f": did you mean {near}?" if near else ""
        if sum(words[0].lower() in known for _, words in lines) * 2 < len(lines):
            what = "this is neither an output of INFO replication (no `role:` line) nor a redis.conf"
            raise _NeitherError(str(path), number, what)
        raise Problem(str(path), number, f"{shorten(first[0])} is no directive of Redis 7.2{more}")
    return DeploymentFile(path, SENTINEL if is_sentinel else CONF, {}, lines)


def _words(row: str) -> list[str]:
    argv = split_args(row)
    return [word.decode("utf-8", "replace") for word in argv] if argv else [row]


def _line_of(rows: list[str], start: str) -> int:
    return next((at for at, row in enumerate(rows, 1) if row.startswith(start)), 1)


def _grouped(files: list[DeploymentFile]) -> Iterator[list[DeploymentFile]]:
    """Yield the files of each server: alike but for the suffix, or an INFO and a redis.conf alone in a folder."""
    groups: dict[Path, list[DeploymentFile]] = {}
    for file in files:
        groups.setdefault(file.path.with_suffix(""), []).append(file)
    for group in groups.values():
        kinds = [file.kind for file in group]
        if len(kinds) != len(set(kinds)):
            raise Problem(str(group[1].path), 1, f"{group[0].path.name} is the {kinds[0]} of this server already")
    alone = [group for group in groups.values() if len(group) == 1]
    folders: dict[Path, list[list[DeploymentFile]]] = {}
    for group in alone:
        folders.setdefault(group[0].path.parent, []).append(group)
    joined: list[list[DeploymentFile]] = []
    for folder, found in folders.items():
        whole = [group for group in groups.values() if group[0].path.parent == folder]
        if len(found) == len(whole) == 2 and {found[0][0].kind, found[1][0].kind} == {INFO, CONF}:
            if _own(_Server([found[0][0], found[1][0]])) in (*found[0][0].replicas, *found[1][0].replicas):
                continue  # the configuration is that of a replica
            found[0].append(found[1][0])
            joined.append(found[1])
    yield from (group for group in groups.values() if group not in joined)


# -- who is who


def _planned(servers: list[_Server], sentinels: list[DeploymentFile], left: list[str]) -> PlannedCluster:
    follows: dict[str, str] = {}  # by address
    for server in servers:
        server.address = _own(server)
    servers = _merged(servers)
    _identify(servers)
    made: dict[str, _Server | None] = {}
    taken = [server.address for server in servers if server.address]
    for server in servers:
        if not server.address and not server.master and server.names_nobody:
            text = "this master names no replica, and no other file names it: name the file after its address"
            raise Problem(str(server.path), 1, text)
        if not server.address:
            port = server.port or str(PORT)
            server.address = next(
                address for ip in (18, *range(57, 255)) if (address := f"172.16.6.{ip}:{port}") not in taken
            )
            taken.append(server.address)
        if server.address in made:
            other = made[server.address]
            there = other.path.name if other is not None else ""
            raise Problem(str(server.path), 1, f"its address is {server.address}, and so is that of {there}")
        made[server.address] = server
    for server in servers:
        if server.master:
            follows[server.address] = server.master
        for replica in server.info.replicas if server.info is not None else ():
            follows.setdefault(replica, server.address)
    for file in sentinels:
        monitored = _monitored(file)
        made |= {address: made.get(address) for address in monitored.values()}
        for _, words in file.lines:
            if words[:2] in (["sentinel", "known-replica"], ["sentinel", "known-slave"]) and words[2] in monitored:
                follows.setdefault(f"{words[3]}:{words[4]}", monitored[words[2]])
    for replica, master in follows.items():
        made.setdefault(master, None)
        made.setdefault(replica, None)
    order = _in_order(list(made), follows)
    if len(order) + len(sentinels) > MACHINES_MAX:
        raise Problem(str(servers[0].path if servers else sentinels[0].path), 1, f"{len(order)} nodes: up to 40 fit")
    places = _places(order)
    names = dict(zip(order, node_names(len(order)), strict=True))
    secrets: dict[str, str] = {}
    found = {
        address: list(_configuration(known, secrets)) if known is not None else [] for address, known in made.items()
    }
    _share_passwords(found, follows)
    nodes: dict[str, NodeSpec] = {}
    for address, name in names.items():
        lines = found[address]
        if address in follows:
            lines.insert(0, f"replicaof {places[follows[address]].replace(':', ' ')}")
        nodes[name] = NodeSpec(address=places[address], config=tuple(lines))
    spec = ScenarioSpec(
        id="", title=f"A deployment of {len(nodes)} node{'s' * (len(nodes) > 1)}",
        summary=_told(names, secrets, sentinels, left), nodes=nodes, steps=(),
        sentinels={
            f"S{number}": SentinelSpec(
                address=f"172.16.6.{100 + number}:{SENTINEL_PORT}", config=_of_sentinel(file, places, secrets)
            )
            for number, file in enumerate(sentinels, 1)
        },
        clients={"app": next(iter(nodes))},
    )  # fmt: skip
    return PlannedCluster(spec)


def _own(server: _Server) -> str:
    """Return the address that a server's files give it."""
    conf = server.conf
    port = server.port or str(PORT)
    if conf is not None:
        announced = conf.setting("replica-announce-ip") or conf.setting("slave-announce-ip")
        if announced:
            at = conf.setting("replica-announce-port") or conf.setting("slave-announce-port") or [port]
            return f"{announced[0]}:{at[0]}"
    for part in (server.path.name, server.path.parent.name):
        if found := _IN_NAME.search(part):
            return f"{found[1]}:{found[2] or port}"
    for word in conf.setting("bind") if conf is not None else ():
        word = word.removeprefix("-")
        if re.fullmatch(r"\d+(\.\d+){3}", word) and not word.startswith(("127.", "0.")):
            return f"{word}:{port}"
    return ""


def _merged(servers: list[_Server]) -> list[_Server]:
    """Return the servers, each once: an INFO and a redis.conf with other names may be of the same one."""
    named = {each.master for each in servers} | {
        each for server in servers if server.info is not None for each in server.info.replicas
    }
    only_conf = [server for server in servers if server.info is None]
    only_info = [server for server in servers if server.conf is None]
    for server in only_info:
        same = [other for other in only_conf if _is_same(server, other, named)]
        if len(same) == 1 and sum(_is_same(other, same[0], named) for other in only_info) == 1:
            server.files += same[0].files
            server.address = server.address or same[0].address
            servers = [each for each in servers if each is not same[0]]
    return servers


def _is_same(server: _Server, other: _Server, named: set[str]) -> bool:
    """Return whether an INFO and a redis.conf are of one server.

    They are if they have the same address; or if they have the same port and master, and only one address with that
    port can be theirs: on one host the port says which server it is, but on several it may be the same everywhere.
    """
    if server.address and other.address:
        return server.address == other.address
    port = server.port
    if not port or port != (other.port or str(PORT)) or server.master != other.master:
        return False
    theirs = {each for each in named if each.endswith(f":{port}") and each != server.master}
    known = server.address or other.address
    if known:
        return theirs == {known}
    return len(theirs) == 1 or (not theirs and server.master.startswith(("127.", "localhost:")))


def _identify(servers: list[_Server]) -> None:
    """Find the addresses of servers in what others say of them, until no more can be found."""
    before = -1
    while (left := sum(not server.address for server in servers)) != before:
        before = left
        for server in servers:
            if not server.address:
                server.address = _said_by_others(server, servers)


def _said_by_others(server: _Server, servers: list[_Server]) -> str:
    """Return the address that only this server can have: a master's by its replicas, a replica's by its master."""
    claimed = {each.address for each in servers if each.address}
    masters = [other.master for other in servers if other.master and other is not server]
    replicas = [each for other in servers if other.info is not None for each in other.info.replicas]
    if server.master:
        above = next((each for each in servers if each.address == server.master and each.info is not None), None)
        among = above.info.replicas if above is not None and above.info is not None else []
        among = among or [each for each in (*masters, *replicas) if server.port]
    else:
        among = [each for each in masters if each not in replicas]  # the others are masters of sub-replicas
    if server.port:
        among = [each for each in among if each.endswith(f":{server.port}")]
    found = list(dict.fromkeys(each for each in among if each not in claimed))
    return found[0] if found and (server.master or len(found) == 1) else ""


def _in_order(addresses: list[str], follows: dict[str, str]) -> list[str]:
    """Return masters first, and after each its replicas. Raises Problem."""
    order: list[str] = []

    def visit(address: str) -> None:
        if address not in order:
            order.append(address)
            for replica in sorted(each for each in addresses if follows.get(each) == address):
                visit(replica)

    for address in addresses:
        if address not in follows:
            visit(address)
    for address in addresses:
        visit(address)  # a circle
    return order


def _places(addresses: list[str]) -> dict[str, str]:
    """Return where each node is in the laboratory: where it really is, unless that is no address of one."""
    ips: dict[str, str] = {}
    places: dict[str, str] = {}
    free = iter([18, *range(57, 100), *range(110, 255)])
    for address in addresses:
        host, _, port = address.rpartition(":")
        if not re.fullmatch(r"\d+(\.\d+){3}", host) or host.startswith(("127.", "0.")):
            own = host if not host.startswith("127.") and host != "localhost" else address
            if own not in ips:
                ips[own] = next(
                    ip for number in free if (ip := f"172.16.6.{number}") not in (*ips.values(), *(
                        each.rpartition(":")[0] for each in addresses))
                )  # fmt: skip
            host = ips[own]
        places[address] = f"{host}:{port}"
    return places


# -- configuration


def _configuration(server: _Server, secrets: dict[str, str]) -> Iterator[str]:
    """Yield the directives of a server that mean something in a laboratory. Raises Problem."""
    conf, info = server.conf, server.info
    if conf is None and info is not None:
        for field, (directive, default) in _FROM_INFO.items():
            if (value := info.fields.get(field, default)) != default and value.isdigit():
                yield f"{directive} {value}"
    for number, words in conf.lines if conf is not None else ():
        name = words[0].lower()
        if _OF_THE_MACHINE.fullmatch(name):
            continue
        if name in _SECRETS and len(words) == 2 and words[1]:
            words = [name, _secret(words[1], secrets)]
        line = " ".join([name, *(word if re.fullmatch(r"[^\s\"'\\]+", word) else f'"{word}"' for word in words[1:])])
        try:
            config = parse(line.encode())
        except FatalConfigError as error:
            why = error.text.decode("utf-8", "replace").strip().splitlines()[-1]
            raise Problem(
                str(server.path if conf is None else conf.path), number, f"{shorten(line)}: {why}"
            ) from None
        attribute = Config.DIRECTIVES[name].attribute if name in Config.DIRECTIVES else ""
        if not attribute or getattr(config, attribute) != getattr(_DEFAULTS, attribute):
            yield line


def _share_passwords(found: dict[str, list[str]], follows: dict[str, str]) -> None:
    """Let nodes whose configuration is not known have the passwords that their masters and replicas use with them."""

    def line_of(address: str, name: str) -> str:
        return next((line for line in found[address] if line.startswith(f"{name} ")), "")

    for replica, master in follows.items():
        if (mine := line_of(replica, "masterauth")) and not line_of(master, "requirepass"):
            found[master].append(mine.replace("masterauth", "requirepass", 1))
    for replica, master in follows.items():  # those of a master that has its password from another replica, too
        if (theirs := line_of(master, "requirepass")) and not line_of(replica, "masterauth"):
            found[replica].append(theirs.replace("requirepass", "masterauth", 1))


def _secret(word: str, secrets: dict[str, str]) -> str:
    return secrets.setdefault(word, f"password{len(secrets) + 1}")


def _monitored(file: DeploymentFile) -> dict[str, str]:
    """Return the addresses of the masters that a Sentinel watches, by their names. Raises Problem."""
    found = {}
    for _, words in file.lines:
        if words[:2] == ["sentinel", "monitor"]:
            if len(words) != 6 or not words[4].isdigit():
                number = next(at for at, each in file.lines if each is words)
                raise Problem(str(file.path), number, "sentinel monitor NAME IP PORT QUORUM")
            found[words[2]] = f"{words[3]}:{words[4]}"
    return found


def _of_sentinel(file: DeploymentFile, places: dict[str, str], secrets: dict[str, str]) -> tuple[str, ...]:
    lines = []
    for _, words in file.lines:
        if words[0] == "sentinel" and len(words) > 2 and words[1] in _OF_SENTINEL:
            if words[1] == "monitor":
                host, _, port = places[f"{words[3]}:{words[4]}"].rpartition(":")
                words = [*words[:3], host, port, words[5]]
            elif words[1] == "auth-pass" and len(words) == 4:
                words = [*words[:3], _secret(words[3], secrets)]
            lines.append(" ".join(words))
    return tuple(sorted(lines, key=lambda line: not line.startswith("sentinel monitor")))


def _told(names: dict[str, str], secrets: dict[str, str], sentinels: list[DeploymentFile], left: list[str]) -> str:
    told = ", ".join(f"{name} is {address}" for address, name in names.items())
    told = f"{told}. No data was copied."
    if sentinels:
        told += f" {len(sentinels)} Sentinel{'s watch' if len(sentinels) > 1 else ' watches'} it."
    if secrets:
        told += f" Passwords are replaced by {', '.join(secrets.values())}."
    if left:
        more = f" and {len(left) - LEFT_MAX} other files" if len(left) > LEFT_MAX else ""
        told += f" Not read: {', '.join(shorten(name) for name in left[:LEFT_MAX])}{more}."
    return told


__all__ = ["read_deployment"]
