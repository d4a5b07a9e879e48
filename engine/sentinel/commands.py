"""A Sentinel's commands: SENTINEL, and those that it shares with servers or answers in its own way.

https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/#sentinel-api
"""

from collections.abc import Iterable
from typing import Any

from engine.commands import connection, load_all
from engine.commands import server as server_commands
from engine.config.kinds import to_bytes, to_str
from engine.effects import CheckExecutable
from engine.protocol.errors import ReplyError, c_text
from engine.protocol.glob import glob_match
from engine.protocol.numbers import parse_integer
from engine.protocol.resp import NULL_ARRAY, OK, Argv, Reply, Status
from engine.report import info as report
from engine.sentinel.addresses import PORT_MAX, AddressError
from engine.sentinel.directives import spread_down_after, yes_or_no
from engine.sentinel.instances import (
    FAILOVER_IN_PROGRESS,
    FORCE_FAILOVER,
    LONG_AGO,
    O_DOWN,
    S_DOWN,
    DataInstance,
    Instance,
    Master,
    Peer,
    Replica,
)
from engine.sentinel.monitor import Monitor
from engine.sentinel.settings import CRASH_AFTER_ELECTION, CRASH_AFTER_PROMOTION, HELLO_CHANNEL, Periods
from engine.server import Server
from engine.server.context import Context
from engine.table.arguments import integer
from engine.table.declarations import ADMIN, LOADING, SENTINEL, SERVER, STALE, command, container
from engine.table.help import help_reply

GROUP = "sentinel"
_SHARED = (
    b"acl",
    b"auth",
    b"client",
    b"command",
    b"ping",
    b"psubscribe",
    b"punsubscribe",
    b"subscribe",
    b"unsubscribe",
)

load_all()
for _name in _SHARED:
    SENTINEL.share(SERVER[_name], without=(b"client|no-touch",))


def monitor_of(node: Any) -> Monitor:
    """Return the monitor of a Sentinel's node."""
    monitor: Monitor = node.monitor
    return monitor


# --- what servers answer as well --------------------------------------------------------------------------------


@SENTINEL.answers(SERVER[b"hello"])
def hello(ctx: Context, argv: Argv) -> Reply:
    reply = connection.hello(ctx, argv)
    assert isinstance(reply, dict)
    del reply[b"role"]
    return reply


@SENTINEL.answers(SERVER[b"info"])
def info(ctx: Context, argv: Argv) -> Reply:
    return report.text_of(ctx.node, argv[1:], SECTIONS)


def describe(node: Server) -> report.Lines:
    """The section Sentinel of INFO."""
    monitor = monitor_of(node)
    settings, addresses = monitor.settings, monitor.watched.addresses
    tilt_s = (monitor.watched.now_ms - monitor.tilt_since_ms) // 1000 if settings.tilt else -1
    lines: report.Lines = [
        ("sentinel_masters", len(monitor.watched.masters)),
        ("sentinel_tilt", int(settings.tilt)),
        ("sentinel_tilt_since_seconds", tilt_s),
        ("sentinel_running_scripts", monitor.scripts.running),
        ("sentinel_scripts_queue_length", len(monitor.scripts.queue)),
        ("sentinel_simulate_failure_flags", settings.simulated_failures),
    ]
    for number, master in enumerate(monitor.watched.masters.values()):
        status = "odown" if master.flags & O_DOWN else "sdown" if master.flags & S_DOWN else "ok"
        lines.append(
            (
                f"master{number}",
                f"name={master.name},status={status},"
                f"address={addresses.announced(master.address)}:{master.address.port},"
                f"slaves={len(master.replicas)},sentinels={len(master.sentinels) + 1}",
            )
        )
    return lines


SECTIONS: dict[str, report.Section] = {
    "Server": report.server,
    "Clients": report.clients,
    "Stats": report.stats,
    "CPU": report.cpu,
    "Sentinel": describe,
}


@SENTINEL.answers(SERVER[b"role"])
def role(ctx: Context, argv: Argv) -> Reply:
    return [b"sentinel", [to_bytes(name) for name in monitor_of(ctx.node).watched.masters]]


@SENTINEL.answers(SERVER[b"publish"])
def publish(ctx: Context, argv: Argv) -> Reply:
    if argv[1] != HELLO_CHANNEL:
        raise ReplyError(b"ERR Only HELLO messages are accepted by Sentinel instances.")
    monitor_of(ctx.node).hello.received(argv[2])
    return 1


@SENTINEL.answers(SERVER[b"shutdown"])
def shutdown(ctx: Context, argv: Argv) -> Reply:
    options = [word for word in argv if word.lower() != b"save"]
    saving = len(options) < len(argv)  # there is nothing to save
    if saving and any(word.lower() in (b"nosave", b"abort") for word in options):
        options = argv  # an error for a Sentinel as well
    return server_commands.shutdown(ctx, options)


# --- SENTINEL ---------------------------------------------------------------------------------------------------


container("SENTINEL", ADMIN, since="2.8.4", group=GROUP, table=SENTINEL)


def master_of(ctx: Context, name: bytes) -> Master:
    """Return a master by its name. Raises ReplyError."""
    master = monitor_of(ctx.node).watched.masters.get(to_str(name))
    if master is None:
        raise ReplyError(b"ERR No such master with that name")
    return master


def _described(monitor: Monitor, instance: Instance) -> dict[bytes, Reply]:
    """Return everything about an instance."""
    now_ms, link = monitor.watched.now_ms, instance.link
    fields: dict[str, str | int] = {
        "name": instance.name,
        "ip": monitor.watched.addresses.announced(instance.address),
        "port": instance.address.port,
        "runid": instance.run_id,
        "flags": instance.describe_flags(),
        "link-pending-commands": link.pending_commands,
        "link-refcount": link.users,
    }
    if isinstance(instance, Master) and instance.flags & FAILOVER_IN_PROGRESS:
        fields["failover-state"] = instance.failover_state
    fields |= {
        "last-ping-sent": 0 if link.waiting_since_ms is None else now_ms - link.waiting_since_ms,
        "last-ok-ping-reply": now_ms - link.last_available_ms,
        "last-ping-reply": now_ms - link.last_pong_ms,
    }
    if instance.flags & S_DOWN:
        fields["s-down-time"] = now_ms - instance.s_down_since_ms
    if instance.flags & O_DOWN:
        fields["o-down-time"] = now_ms - instance.o_down_since_ms
    fields["down-after-milliseconds"] = instance.down_after_ms
    if isinstance(instance, DataInstance):
        fields |= {
            "info-refresh": _age(instance.info_refresh_ms, now_ms),
            "role-reported": instance.role_reported or Replica.kind,
            "role-reported-time": now_ms - instance.role_reported_ms,
        }
    if isinstance(instance, Master):
        fields |= {
            "config-epoch": instance.config_epoch,
            "num-slaves": len(instance.replicas),
            "num-other-sentinels": len(instance.sentinels),
            "quorum": instance.quorum,
            "failover-timeout": instance.failover_timeout_ms,
            "parallel-syncs": instance.parallel_syncs,
        }
        if instance.notification_script:
            fields["notification-script"] = instance.notification_script
        if instance.client_reconfig_script:
            fields["client-reconfig-script"] = instance.client_reconfig_script
    if isinstance(instance, Replica):
        fields |= {
            "master-link-down-time": instance.master_link_down_ms,
            "master-link-status": "ok" if instance.slave_master_link_up else "err",
            "master-host": instance.slave_master_host or "?",
            "master-port": instance.slave_master_port,
            "slave-priority": instance.slave_priority,
            "slave-repl-offset": instance.slave_repl_offset,
            "replica-announced": int(instance.replica_announced),
        }
    if isinstance(instance, Peer):
        fields |= {
            "last-hello-message": now_ms - instance.last_hello_ms,
            "voted-leader": instance.leader or "?",
            "voted-leader-epoch": instance.leader_epoch,
        }
    return {name.encode(): to_bytes(str(value)) for name, value in fields.items()}


def _age(since_ms: int, now_ms: int) -> int:
    return 0 if since_ms == LONG_AGO else now_ms - since_ms


def _all_described(ctx: Context, instances: Iterable[Instance]) -> Reply:
    monitor = monitor_of(ctx.node)
    return [
        _described(monitor, instance)
        for instance in instances
        if not isinstance(instance, Replica) or instance.replica_announced
    ]


@command("SENTINEL MASTERS", ADMIN, since="2.8.4", complexity="O(N) where N is the number of masters", table=SENTINEL)
def masters(ctx: Context, argv: Argv) -> Reply:
    return _all_described(ctx, monitor_of(ctx.node).watched.masters.values())


@command("SENTINEL MASTER master-name", ADMIN, since="2.8.4", complexity="O(1)", table=SENTINEL)
def master(ctx: Context, argv: Argv) -> Reply:
    return _described(monitor_of(ctx.node), master_of(ctx, argv[2]))


@command(
    "SENTINEL REPLICAS master-name",
    ADMIN,
    since="5.0.0",
    complexity="O(N) where N is the number of replicas",
    table=SENTINEL,
)
def replicas(ctx: Context, argv: Argv) -> Reply:
    return _all_described(ctx, master_of(ctx, argv[2]).replicas.values())


@command(
    "SENTINEL SLAVES master-name",
    ADMIN,
    since="2.8.0",
    complexity="O(N) where N is the number of replicas.",
    table=SENTINEL,
)
def slaves(ctx: Context, argv: Argv) -> Reply:
    return replicas(ctx, argv)


@command(
    "SENTINEL SENTINELS master-name",
    ADMIN,
    since="2.8.4",
    complexity="O(N) where N is the number of Sentinels",
    table=SENTINEL,
)
def sentinels(ctx: Context, argv: Argv) -> Reply:
    return _all_described(ctx, master_of(ctx, argv[2]).sentinels.values())


@command("SENTINEL MYID", ADMIN, since="6.2.0", complexity="O(1)", table=SENTINEL)
def my_id(ctx: Context, argv: Argv) -> Reply:
    return monitor_of(ctx.node).settings.my_id.encode()


@command(
    "SENTINEL IS-MASTER-DOWN-BY-ADDR ip port current-epoch runid",
    ADMIN,
    since="2.8.4",
    complexity="O(1)",
    table=SENTINEL,
)
def is_master_down(ctx: Context, argv: Argv) -> Reply:
    monitor = monitor_of(ctx.node)
    port, epoch = integer(argv[3]), integer(argv[4])
    found = monitor.watched.at(monitor.watched.masters.values(), to_str(argv[2]), port)
    down = found is not None and bool(found.flags & S_DOWN) and not monitor.settings.tilt
    leader, leader_epoch = "", 0
    if isinstance(found, Master) and argv[5] != b"*":
        leader, leader_epoch = monitor.votes.vote(found, epoch, to_str(argv[5]))
    return [int(down), to_bytes(leader or "*"), leader_epoch]


@command(
    "SENTINEL RESET pattern",
    ADMIN,
    since="2.8.4",
    complexity="O(N) where N is the number of monitored masters",
    table=SENTINEL,
)
def reset(ctx: Context, argv: Argv) -> Reply:
    monitor = monitor_of(ctx.node)
    matching = [each for each in monitor.watched.masters.values() if glob_match(argv[2], to_bytes(each.name))]
    for each in matching:
        monitor.watched.reset(each)
        monitor.notices.about("#", "+reset-master", each)
    return len(matching)


@command("SENTINEL GET-MASTER-ADDR-BY-NAME master-name", ADMIN, since="2.8.4", complexity="O(1)", table=SENTINEL)
def get_master_addr(ctx: Context, argv: Argv) -> Reply:
    watched = monitor_of(ctx.node).watched
    found = watched.masters.get(to_str(argv[2]))
    if found is None:
        return NULL_ARRAY
    address = found.current_address
    return [to_bytes(watched.addresses.announced(address)), b"%d" % address.port]


@command("SENTINEL FAILOVER master-name", ADMIN, since="2.8.4", table=SENTINEL)
def failover(ctx: Context, argv: Argv) -> Reply:
    monitor, found = monitor_of(ctx.node), master_of(ctx, argv[2])
    if found.flags & FAILOVER_IN_PROGRESS:
        raise ReplyError(b"INPROG Failover already in progress")
    if monitor.failover.choose(found) is None:
        raise ReplyError(b"NOGOODSLAVE No suitable replica to promote")
    ctx.node.output.log("*", f"Executing user requested FAILOVER of '{found.name}'")
    monitor.failover.start(found)
    found.flags |= FORCE_FAILOVER
    return OK


@command("SENTINEL PENDING-SCRIPTS", ADMIN, since="2.8.4", table=SENTINEL)
def pending_scripts(ctx: Context, argv: Argv) -> Reply:
    return list(monitor_of(ctx.node).scripts.describe())


def _flush(ctx: Context) -> Reply:
    if not monitor_of(ctx.node).file.flush():
        raise ReplyError(b"ERR Failed to save config file. Check server logs.")
    return OK


@command("SENTINEL MONITOR name ip port quorum", ADMIN, since="2.8.4", complexity="O(1)", table=SENTINEL)
def monitor_(ctx: Context, argv: Argv) -> Reply:
    monitor = monitor_of(ctx.node)
    quorum = integer(argv[5], b"ERR Invalid quorum")
    port = integer(argv[4], b"ERR Invalid port")
    if quorum <= 0:
        raise ReplyError(b"ERR Quorum must be 1 or greater.")
    host = to_str(argv[3])
    if monitor.watched.addresses.resolve(host) is None:
        raise ReplyError(b"ERR Invalid IP address or hostname specified")
    try:
        added = monitor.watched.add_master(to_str(argv[2]), host, port, quorum)
    except AddressError as error:
        raise ReplyError(b"ERR %b" % error.text.encode()) from None
    saved = monitor.file.flush()
    monitor.notices.about("#", "+monitor", added, f"quorum {quorum}")
    if not saved:
        raise ReplyError(b"ERR Failed to save config file. Check server logs.")
    return OK


@command("SENTINEL FLUSHCONFIG", ADMIN, since="2.8.4", complexity="O(1)", table=SENTINEL)
def flush_config(ctx: Context, argv: Argv) -> Reply:
    return _flush(ctx)


@command("SENTINEL REMOVE master-name", ADMIN, since="2.8.4", complexity="O(1)", table=SENTINEL)
def remove(ctx: Context, argv: Argv) -> Reply:
    monitor, found = monitor_of(ctx.node), master_of(ctx, argv[2])
    monitor.notices.about("#", "-monitor", found)
    monitor.watched.remove_master(found.name)
    return _flush(ctx)


@command("SENTINEL CKQUORUM master-name", ADMIN, since="2.8.4", table=SENTINEL)
def ckquorum(ctx: Context, argv: Argv) -> Reply:
    found = master_of(ctx, argv[2])
    usable = 1 + sum(not peer.flags & (S_DOWN | O_DOWN) for peer in found.sentinels.values())
    voters = len(found.sentinels) + 1
    missing = []
    if usable < found.quorum:
        missing.append(b"Not enough available Sentinels to reach the specified quorum for this master")
    if usable < voters // 2 + 1:
        missing.append(b"Not enough available Sentinels to reach the majority and authorize a failover")
    if missing:
        raise ReplyError(b"NOQUORUM %d usable Sentinels. %b" % (usable, b". ".join(missing)))
    return Status(b"OK %d usable Sentinels. Quorum and failover authorization can be reached" % usable)


# --- SENTINEL SET -----------------------------------------------------------------------------------------------

_DENIED = (
    b"ERR Reconfiguration of scripts path is denied for security reasons. Check the deny-scripts-reconfig "
    b"configuration directive in your Sentinel configuration"
)
_SET_NUMBERS = {
    b"down-after-milliseconds": ("down_after_ms", 1),
    b"failover-timeout": ("failover_timeout_ms", 1),
    b"parallel-syncs": ("parallel_syncs", 1),
    b"quorum": ("quorum", 1),
    b"master-reboot-down-after-period": ("reboot_down_after_ms", 0),
}
_SET_SCRIPTS = {
    b"notification-script": ("notification_script", b"Notification script"),
    b"client-reconfig-script": ("client_reconfig_script", b"Client reconfiguration script"),
}
_SET_CREDENTIALS = {b"auth-pass": "password", b"auth-user": "user"}


@command(
    "SENTINEL SET master-name option value [option value ...]",
    ADMIN,
    since="2.8.4",
    complexity="O(1)",
    table=SENTINEL,
)
def set_(ctx: Context, argv: Argv) -> Reply:
    monitor, found = monitor_of(ctx.node), master_of(ctx, argv[2])
    changed = False
    i = 3
    try:
        while i < len(argv):
            used = _set_option(ctx, found, argv, i)
            changed = True
            shown = [to_str(word) for word in argv[i : i + used]]
            if argv[i].lower() == b"auth-pass":
                shown[1] = "******"
            monitor.notices.about("#", "+set", found, " ".join(shown))
            i += used
    except ReplyError:
        if changed:
            monitor.file.flush()
        raise
    return _flush(ctx)


def _set_option(ctx: Context, found: Master, argv: Argv, i: int) -> int:
    """Set an option; returns how many words it took. Raises ReplyError."""
    monitor = monitor_of(ctx.node)
    option, more = argv[i].lower(), len(argv) - 1 - i
    if option in _SET_NUMBERS and more:
        attribute, least = _SET_NUMBERS[option]
        value = parse_integer(argv[i + 1])
        if value is None or value < least:
            raise _invalid(argv[i + 1], argv[i], b"SET")
        setattr(found, attribute, value)
        if option == b"down-after-milliseconds":
            spread_down_after(found)
    elif option in _SET_SCRIPTS and more:
        attribute, what = _SET_SCRIPTS[option]
        if monitor.settings.deny_scripts_reconfig:
            raise ReplyError(_DENIED)
        path = to_str(argv[i + 1])
        if path and not is_executable(ctx.node, path):
            raise ReplyError(b"ERR %b seems non existing or non executable" % what)
        setattr(found, attribute, path)
    elif option in _SET_CREDENTIALS and more:
        if option == b"auth-pass":
            ctx.redact(i + 1)
        setattr(found, _SET_CREDENTIALS[option], to_str(argv[i + 1]))
        monitor.links.close_data(found)
    elif option == b"rename-command" and more > 1:
        old, new = argv[i + 1], argv[i + 2]
        if not old or not new:
            raise _invalid(argv[i + 1] if new else argv[i + 2], argv[i], b"SET")
        found.renamed.pop(to_str(old).lower(), None)
        if old.lower() != new.lower():
            found.renamed[to_str(old).lower()] = to_str(old), to_str(new)
        return 3
    else:
        raise ReplyError(b"ERR Unknown option or number of arguments for SENTINEL SET '%b'" % c_text(argv[i]))
    return 2


def _invalid(value: bytes, option: bytes, where: bytes) -> ReplyError:
    return ReplyError(b"ERR Invalid argument '%b' for SENTINEL %b '%b'" % (c_text(value), where, c_text(option)))


def is_executable(node: Server, path: str) -> bool:
    """Tell whether a file may be executed."""
    try:
        node.output.run_now(CheckExecutable(path))
    except OSError:
        return False
    return True


# --- SENTINEL CONFIG --------------------------------------------------------------------------------------------

_LOG_LEVELS = ("debug", "verbose", "notice", "warning", "nothing")
_ONLY = (
    b"ERR Only SENTINEL CONFIG GET <param> [<param> <param> ...]/ SET <param> <value> [<param> <value> ...] are "
    b"supported."
)
_FLAGS = {b"resolve-hostnames": "resolve_hostnames", b"announce-hostnames": "announce_hostnames"}
_TEXTS = {b"announce-ip": "announce_ip", b"sentinel-user": "user", b"sentinel-pass": "password"}
_OPTIONS = (
    b"resolve-hostnames",
    b"announce-hostnames",
    b"announce-ip",
    b"announce-port",
    b"sentinel-user",
    b"sentinel-pass",
    b"loglevel",
)
"""The options, in the order in which CONFIG GET tells those that match a pattern."""


@command(
    "SENTINEL CONFIG <SET parameter value [parameter value ...] | GET parameter [parameter ...]>",
    ADMIN,
    since="6.2.0",
    complexity="O(N) when N is the number of configuration parameters provided",
    table=SENTINEL,
)
def config(ctx: Context, argv: Argv) -> Reply:
    what = argv[2].lower()
    if what == b"set" and len(argv) >= 5:
        return _config_set(ctx, argv)
    if what == b"get":
        return _config_get(ctx, argv)
    raise ReplyError(_ONLY)


def _config_set(ctx: Context, argv: Argv) -> Reply:
    options: dict[bytes, bytes] = {}
    for i in range(3, len(argv), 2):
        option = argv[i].lower()
        if option not in _OPTIONS:
            raise ReplyError(b"ERR Invalid argument '%b' to SENTINEL CONFIG SET" % c_text(argv[i]))
        if option in options:
            raise ReplyError(b"ERR Duplicate argument '%b' to SENTINEL CONFIG SET" % c_text(argv[i]))
        if i + 1 == len(argv):
            raise ReplyError(b"ERR Missing argument '%b' value" % c_text(argv[i]))
        value = argv[i + 1]
        if option == b"sentinel-pass":
            ctx.redact(i + 1)
        if not _is_valid(option, value):
            raise ReplyError(b"ERR Invalid value '%b' to SENTINEL CONFIG SET '%b'" % (c_text(value), c_text(argv[i])))
        options[option] = value
    settings = monitor_of(ctx.node).settings
    for option, value in options.items():
        if option in _FLAGS:
            setattr(settings, _FLAGS[option], bool(yes_or_no(to_str(value))))
        elif option in _TEXTS:
            setattr(settings, _TEXTS[option], to_str(value))
        elif option == b"announce-port":
            settings.announce_port = int(value)
        else:
            ctx.node.config.loglevel = to_str(value).lower()
    try:
        return _flush(ctx)
    finally:
        if b"sentinel-user" in options or b"sentinel-pass" in options:
            monitor_of(ctx.node).links.close_peers()


def _is_valid(option: bytes, value: bytes) -> bool:
    if option in _FLAGS:
        return yes_or_no(to_str(value)) is not None
    if option == b"announce-port":
        number = parse_integer(value)
        return number is not None and 0 <= number <= PORT_MAX
    return option != b"loglevel" or to_str(value).lower() in _LOG_LEVELS


def _config_get(ctx: Context, argv: Argv) -> Reply:
    settings = monitor_of(ctx.node).settings
    found: dict[bytes, Reply] = {}
    for pattern in argv[3:]:
        for option in _OPTIONS:
            if option in found or not glob_match(pattern.lower(), option):
                continue
            if option in _FLAGS:
                found[option] = b"yes" if getattr(settings, _FLAGS[option]) else b"no"
            elif option in _TEXTS:
                found[option] = to_bytes(getattr(settings, _TEXTS[option]))
            elif option == b"announce-port":
                found[option] = b"%d" % settings.announce_port
            else:
                found[option] = ctx.node.config.loglevel.encode()
    return found


# --- what shows and changes the inside --------------------------------------------------------------------------


@command(
    "SENTINEL INFO-CACHE nodename [nodename ...]",
    ADMIN,
    since="3.2.0",
    complexity="O(N) where N is the number of instances",
    table=SENTINEL,
)
def info_cache(ctx: Context, argv: Argv) -> Reply:
    watched = monitor_of(ctx.node).watched
    names = dict.fromkeys(to_str(name) for name in argv[2:])
    reply: list[Reply] = []
    for name in names:
        found = watched.masters.get(name)
        if found is not None:
            cached: list[Reply] = [
                [_age(each.info_refresh_ms, watched.now_ms), each.info or None]
                for each in (found, *found.replicas.values())
            ]
            reply += [to_bytes(name), cached]
    return reply


_FAILURES = {
    b"crash-after-election": (
        CRASH_AFTER_ELECTION,
        "Failure simulation: this Sentinel will crash after being successfully elected as failover leader",
    ),
    b"crash-after-promotion": (
        CRASH_AFTER_PROMOTION,
        "Failure simulation: this Sentinel will crash after promoting the selected replica to master",
    ),
}


@command(
    "SENTINEL SIMULATE-FAILURE <CRASH-AFTER-ELECTION | CRASH-AFTER-PROMOTION | HELP> ...",
    ADMIN,
    arity=-3,
    since="3.2.0",
    table=SENTINEL,
)
def simulate_failure(ctx: Context, argv: Argv) -> Reply:
    settings = monitor_of(ctx.node).settings
    settings.simulated_failures = 0
    for word in argv[2:]:
        if word.lower() == b"help":
            return list(_FAILURES)
        if word.lower() not in _FAILURES:
            raise ReplyError(b"ERR Unknown failure simulation specified")
        flag, text = _FAILURES[word.lower()]
        settings.simulated_failures |= flag
        ctx.node.output.log("#", text)
    return OK


@command(
    "SENTINEL DEBUG [parameter value ...]",
    ADMIN,
    since="7.0.0",
    complexity="O(N) where N is the number of configurable parameters",
    table=SENTINEL,
)
def debug(ctx: Context, argv: Argv) -> Reply:
    periods = monitor_of(ctx.node).settings.periods
    if len(argv) == 2:
        return {name.replace("_", "-").upper().encode(): b"%d" % value for name, value in vars(periods).items()}
    for i in range(2, len(argv), 2):
        attribute = Periods.attribute(argv[i])
        if attribute is None or i + 1 == len(argv):
            raise ReplyError(b"ERR Unknown option or number of arguments for SENTINEL DEBUG '%b'" % c_text(argv[i]))
        value = parse_integer(argv[i + 1])
        if value is None or value <= 0:
            raise _invalid(argv[i + 1], argv[i], b"DEBUG")
        setattr(periods, attribute, value)
    return OK


@command("SENTINEL HELP", LOADING, STALE, since="6.2.0", complexity="O(1)", table=SENTINEL)
def help_(ctx: Context, argv: Argv) -> Reply:
    return help_reply(argv, HELP)


HELP = """\
CKQUORUM <master-name>
    Check if the current Sentinel configuration is able to reach the quorum
    needed to failover a master and the majority needed to authorize the
    failover.
CONFIG SET param value [param value ...]
    Set a global Sentinel configuration parameter.
CONFIG GET <param> [param param param ...]
    Get global Sentinel configuration parameter.
DEBUG [<param> <value> ...]
    Show a list of configurable time parameters and their values (milliseconds).
    Or update current configurable parameters values (one or more).
GET-MASTER-ADDR-BY-NAME <master-name>
    Return the ip and port number of the master with that name.
FAILOVER <master-name>
    Manually failover a master node without asking for agreement from other
    Sentinels
FLUSHCONFIG
    Force Sentinel to rewrite its configuration on disk, including the current
    Sentinel state.
INFO-CACHE <master-name>
    Return last cached INFO output from masters and all its replicas.
IS-MASTER-DOWN-BY-ADDR <ip> <port> <current-epoch> <runid>
    Check if the master specified by ip:port is down from current Sentinel's
    point of view.
MASTER <master-name>
    Show the state and info of the specified master.
MASTERS
    Show a list of monitored masters and their state.
MONITOR <name> <ip> <port> <quorum>
    Start monitoring a new master with the specified name, ip, port and quorum.
MYID
    Return the ID of the Sentinel instance.
PENDING-SCRIPTS
    Get pending scripts information.
REMOVE <master-name>
    Remove master from Sentinel's monitor list.
REPLICAS <master-name>
    Show a list of replicas for this master and their state.
RESET <pattern>
    Reset masters for specific master name matching this pattern.
SENTINELS <master-name>
    Show a list of Sentinel instances for this master and their state.
SET <master-name> <option> <value> [<option> <value> ...]
    Set configuration parameters for certain masters.
SIMULATE-FAILURE [CRASH-AFTER-ELECTION] [CRASH-AFTER-PROMOTION] [HELP]
    Simulate a Sentinel crash."""
