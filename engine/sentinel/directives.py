"""`sentinel …` lines of the configuration file: reading them, and what stands in their place after a change.

The file is also where a Sentinel keeps its state, so it is rewritten whenever the state changes. Lines may come in
any order: those for the whole Sentinel are read first, then the `monitor` lines, then the settings of masters.

https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/
"""

import re
from collections.abc import Callable
from typing import NamedTuple, Protocol

from engine.config.kinds import to_bytes, to_str
from engine.config.rewriting import Draft
from engine.protocol.quoting import quote
from engine.protocol.resp import split_args
from engine.sentinel.addresses import AddressError, same
from engine.sentinel.instances import Master
from engine.sentinel.settings import ID_DIGITS
from engine.sentinel.watched import Watched

_GLOBAL_FIRST = frozenset(
    (
        "announce-ip",
        "announce-port",
        "deny-scripts-reconfig",
        "sentinel-user",
        "sentinel-pass",
        "current-epoch",
        "myid",
        "resolve-hostnames",
        "announce-hostnames",
    )
)
_INTEGER = re.compile(r"[ \t\n\v\f\r]*([-+]?\d+)")
_INT_MAX = (1 << 31) - 1
_UNSIGNED_MAX = (1 << 64) - 1
NO_SUCH_MASTER = "No such master with specified name."


class DirectiveLine(NamedTuple):
    """A line of the file: its number, its text, and its words behind `sentinel`."""

    number: int
    text: bytes
    argv: list[bytes]


class LineError(Exception):
    """A line is wrong; `text` says why."""

    def __init__(self, line: DirectiveLine, text: str) -> None:
        super().__init__(text)
        self.line = line
        self.text = text


class _WrongError(Exception):
    """Why the line being read is wrong."""


class ScriptFiles(Protocol):
    """What reading may ask of the machine."""

    def is_executable(self, path: str) -> bool:
        """Tell whether a file may be executed."""


def c_integer(text: str) -> int:
    """Return a number as C's `atoi` reads it: what follows the digits does not count."""
    digits = _INTEGER.match(text)
    return max(-_INT_MAX - 1, min(_INT_MAX, int(digits[1]))) if digits else 0


def c_unsigned(text: str) -> int:
    """Return a number as C's `strtoull` reads it."""
    digits = _INTEGER.match(text)
    return min(_UNSIGNED_MAX, int(digits[1]) & (_UNSIGNED_MAX if int(digits[1]) < 0 else -1)) if digits else 0


def yes_or_no(text: str) -> bool | None:
    """Return what `yes` or `no` means; None for anything else."""
    return {"yes": True, "no": False}.get(text.lower())


def read_lines(watched: Watched, lines: list[DirectiveLine], machine: ScriptFiles) -> None:
    """Read the `sentinel` lines of a file. Raises LineError."""
    reader = _DirectiveReader(watched, machine)

    def turn(line: DirectiveLine) -> int:
        name = to_str(line.argv[0]).lower()
        return 0 if name in _GLOBAL_FIRST else 1 if name == "monitor" else 2

    for line in sorted(lines, key=turn):
        try:
            reader.read([to_str(word) for word in line.argv])
        except (_WrongError, AddressError) as error:
            raise LineError(line, str(error)) from None


class _DirectiveReader:
    def __init__(self, watched: Watched, machine: ScriptFiles) -> None:
        self.watched = watched
        self.settings = watched.settings
        self.machine = machine

    def read(self, argv: list[str]) -> None:
        """Take a line over; raises _WrongError or AddressError."""
        directive = _DIRECTIVES.get(argv[0].lower())
        if directive is None or len(argv) - 1 not in directive.counts:
            raise _WrongError("Unrecognized sentinel configuration statement.")
        directive.read(self, argv[1:])

    def master(self, name: str) -> Master:
        master = self.watched.masters.get(name)
        if master is None:
            raise _WrongError(NO_SUCH_MASTER)
        return master

    # --- masters ------------------------------------------------------------------------------------------------

    def monitor(self, args: list[str]) -> None:
        quorum = c_integer(args[3])
        if quorum <= 0:
            raise _WrongError("Quorum must be 1 or greater.")
        self.watched.add_master(args[0], args[1], c_integer(args[2]), quorum)

    def down_after(self, args: list[str]) -> None:
        master = self.master(args[0])
        master.down_after_ms = c_integer(args[1])
        if master.down_after_ms <= 0:
            raise _WrongError("negative or zero time parameter.")
        spread_down_after(master)

    def failover_timeout(self, args: list[str]) -> None:
        master = self.master(args[0])
        master.failover_timeout_ms = c_integer(args[1])
        if master.failover_timeout_ms <= 0:
            raise _WrongError("negative or zero time parameter.")

    def parallel_syncs(self, args: list[str]) -> None:
        self.master(args[0]).parallel_syncs = c_integer(args[1])

    def notification_script(self, args: list[str]) -> None:
        master = self.master(args[0])
        if not self.machine.is_executable(args[1]):
            raise _WrongError("Notification script seems non existing or non executable.")
        master.notification_script = args[1]

    def client_reconfig_script(self, args: list[str]) -> None:
        master = self.master(args[0])
        if not self.machine.is_executable(args[1]):
            raise _WrongError("Client reconfiguration script seems non existing or non executable.")
        master.client_reconfig_script = args[1]

    def auth_pass(self, args: list[str]) -> None:
        self.master(args[0]).password = args[1]

    def auth_user(self, args: list[str]) -> None:
        self.master(args[0]).user = args[1]

    def config_epoch(self, args: list[str]) -> None:
        master = self.master(args[0])
        master.config_epoch = c_unsigned(args[1])
        self.settings.current_epoch = max(self.settings.current_epoch, master.config_epoch)

    def leader_epoch(self, args: list[str]) -> None:
        self.master(args[0]).leader_epoch = c_unsigned(args[1])

    def known_replica(self, args: list[str]) -> None:
        self.watched.add_replica(self.master(args[0]), args[1], c_integer(args[2]))

    def known_sentinel(self, args: list[str]) -> None:
        if len(args) == 4:  # an old form had no ID: it is found again soon
            self.watched.add_peer(self.master(args[0]), args[3], args[1], c_integer(args[2]))

    def rename_command(self, args: list[str]) -> None:
        renamed = self.master(args[0]).renamed
        if args[1].lower() in renamed:
            raise _WrongError("Same command renamed multiple times with rename-command.")
        renamed[args[1].lower()] = args[1], args[2]

    def reboot_down_after(self, args: list[str]) -> None:
        master = self.master(args[0])
        master.reboot_down_after_ms = c_integer(args[1])
        if master.reboot_down_after_ms < 0:
            raise _WrongError("negative time parameter.")

    # --- the Sentinel -------------------------------------------------------------------------------------------

    def current_epoch(self, args: list[str]) -> None:
        self.settings.current_epoch = max(self.settings.current_epoch, c_unsigned(args[0]))

    def my_id(self, args: list[str]) -> None:
        if len(args[0]) != ID_DIGITS:
            raise _WrongError("Malformed Sentinel id in myid option.")
        self.settings.my_id = args[0]

    def announce_ip(self, args: list[str]) -> None:
        self.settings.announce_ip = args[0] or self.settings.announce_ip

    def announce_port(self, args: list[str]) -> None:
        self.settings.announce_port = c_integer(args[0])

    def deny_scripts_reconfig(self, args: list[str]) -> None:
        value = yes_or_no(args[0])
        if value is None:
            raise _WrongError("Please specify yes or no for the deny-scripts-reconfig options.")
        self.settings.deny_scripts_reconfig = value

    def user(self, args: list[str]) -> None:
        self.settings.user = args[0] or self.settings.user

    def password(self, args: list[str]) -> None:
        self.settings.password = args[0] or self.settings.password

    def resolve_hostnames(self, args: list[str]) -> None:
        value = yes_or_no(args[0])
        if value is None:
            raise _WrongError("Please specify yes or no for the resolve-hostnames option.")
        self.settings.resolve_hostnames = value

    def announce_hostnames(self, args: list[str]) -> None:
        value = yes_or_no(args[0])
        if value is None:
            raise _WrongError("Please specify yes or no for the announce-hostnames option.")
        self.settings.announce_hostnames = value


class _Directive(NamedTuple):
    read: Callable[[_DirectiveReader, list[str]], None]
    counts: tuple[int, ...]  # of arguments


_DIRECTIVES = {
    "monitor": _Directive(_DirectiveReader.monitor, (4,)),
    "down-after-milliseconds": _Directive(_DirectiveReader.down_after, (2,)),
    "failover-timeout": _Directive(_DirectiveReader.failover_timeout, (2,)),
    "parallel-syncs": _Directive(_DirectiveReader.parallel_syncs, (2,)),
    "notification-script": _Directive(_DirectiveReader.notification_script, (2,)),
    "client-reconfig-script": _Directive(_DirectiveReader.client_reconfig_script, (2,)),
    "auth-pass": _Directive(_DirectiveReader.auth_pass, (2,)),
    "auth-user": _Directive(_DirectiveReader.auth_user, (2,)),
    "config-epoch": _Directive(_DirectiveReader.config_epoch, (2,)),
    "leader-epoch": _Directive(_DirectiveReader.leader_epoch, (2,)),
    "known-slave": _Directive(_DirectiveReader.known_replica, (3,)),
    "known-replica": _Directive(_DirectiveReader.known_replica, (3,)),
    "known-sentinel": _Directive(_DirectiveReader.known_sentinel, (3, 4)),
    "rename-command": _Directive(_DirectiveReader.rename_command, (3,)),
    "master-reboot-down-after-period": _Directive(_DirectiveReader.reboot_down_after, (2,)),
    "current-epoch": _Directive(_DirectiveReader.current_epoch, (1,)),
    "myid": _Directive(_DirectiveReader.my_id, (1,)),
    "announce-ip": _Directive(_DirectiveReader.announce_ip, (1,)),
    "announce-port": _Directive(_DirectiveReader.announce_port, (1,)),
    "deny-scripts-reconfig": _Directive(_DirectiveReader.deny_scripts_reconfig, (1,)),
    "sentinel-user": _Directive(_DirectiveReader.user, (1,)),
    "sentinel-pass": _Directive(_DirectiveReader.password, (1,)),
    "resolve-hostnames": _Directive(_DirectiveReader.resolve_hostnames, (1,)),
    "announce-hostnames": _Directive(_DirectiveReader.announce_hostnames, (1,)),
}


def spread_down_after(master: Master) -> None:
    """Have the replicas and Sentinels of a master be down after the same time as it."""
    for each in (*master.replicas.values(), *master.sentinels.values()):
        each.down_after_ms = master.down_after_ms


# --- rewriting --------------------------------------------------------------------------------------------------


def write_lines(watched: Watched, draft: Draft) -> None:
    """Put the `sentinel` lines of the present state in the place of those that were there."""
    settings = watched.settings
    _write(draft, "myid", settings.my_id)
    _write(draft, "deny-scripts-reconfig", _yes(settings.deny_scripts_reconfig), not settings.deny_scripts_reconfig)
    _write(draft, "resolve-hostnames", _yes(settings.resolve_hostnames), settings.resolve_hostnames)
    _write(draft, "announce-hostnames", _yes(settings.announce_hostnames), settings.announce_hostnames)
    for master in watched.masters.values():
        _write_master(watched, master, draft)
    _write(draft, "current-epoch", str(settings.current_epoch))
    if settings.announce_ip:
        _write(draft, "announce-ip", to_str(quote(to_bytes(settings.announce_ip))))
    if settings.announce_port:
        _write(draft, "announce-port", str(settings.announce_port))
    if settings.user:
        _write(draft, "sentinel-user", _word(settings.user))
    if settings.password:
        _write(draft, "sentinel-pass", _word(settings.password))
    for name in _DIRECTIVES:
        if name != "known-slave":
            draft.finish(f"sentinel {name}".encode())


def _write_master(watched: Watched, master: Master, draft: Draft) -> None:
    periods, addresses = watched.settings.periods, watched.addresses
    name, address = _word(master.name), master.current_address
    _write(draft, "monitor", f"{name} {addresses.announced(address)} {address.port} {master.quorum}")
    if master.down_after_ms != periods.default_down_after:
        _write(draft, "down-after-milliseconds", f"{name} {master.down_after_ms}")
    if master.failover_timeout_ms != periods.default_failover_timeout:
        _write(draft, "failover-timeout", f"{name} {master.failover_timeout_ms}")
    if master.parallel_syncs != 1:
        _write(draft, "parallel-syncs", f"{name} {master.parallel_syncs}")
    for directive, value in (
        ("notification-script", master.notification_script),
        ("client-reconfig-script", master.client_reconfig_script),
        ("auth-pass", master.password),
        ("auth-user", master.user),
    ):
        if value:
            _write(draft, directive, f"{name} {_word(value)}")
    if master.reboot_down_after_ms:
        _write(draft, "master-reboot-down-after-period", f"{name} {master.reboot_down_after_ms}")
    _write(draft, "config-epoch", f"{name} {master.config_epoch}")
    _write(draft, "leader-epoch", f"{name} {master.leader_epoch}")
    for replica in master.replicas.values():
        # A replica that has just been promoted stands in the file as master: here the old master takes its place.
        at = master.address if same(replica.address, address) else replica.address
        line = f"{name} {addresses.announced(at)} {at.port}"
        if not draft.reuse(b"sentinel known-slave", _line("known-replica", line)):
            _write(draft, "known-replica", line)
    for peer in master.sentinels.values():
        at = peer.address
        _write(draft, "known-sentinel", f"{name} {addresses.announced(at)} {at.port} {peer.run_id}")
    for old, new in master.renamed.values():
        _write(draft, "rename-command", f"{name} {_word(old)} {_word(new)}")


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _word(text: str) -> str:
    """Return a word as it can be read again: in quotes if it needs them."""
    data = to_bytes(text)
    return text if split_args(data) == [data] else to_str(quote(data))


def _line(directive: str, rest: str) -> bytes:
    return to_bytes(f"sentinel {directive} {rest}")


def _write(draft: Draft, directive: str, rest: str, needed: bool = True) -> None:
    draft.write(f"sentinel {directive}".encode(), _line(directive, rest), needed)
