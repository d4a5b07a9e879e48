"""Applying changes of directives at run time, and writing the file of CONFIG REWRITE.

CONFIG SET is all or nothing in two steps, as in Redis: first every value is parsed and stored, then the changes are
applied. `APPLY` contains a function for each directive; it returns None, or the reason for a failure, in which case
all old values are restored and applied again.

https://redis.io/docs/latest/commands/config-set/
"""

import errno
from collections.abc import Callable, Collection

from engine.config import Config, ConfigChange, failed, rewrite, sane_hz
from engine.config.kinds import to_bytes, to_str
from engine.config.rewriting import Draft
from engine.config.settings import OldValues
from engine.config.tls import uses_tls
from engine.effects import ChangeDir, CheckTls, Listen, Read, Rename, Sync, Title, Unlink, Unlisten, Write
from engine.protocol.errors import ReplyError
from engine.server import Server

Apply = Callable[[Server, OldValues], str | None]

BACKLOG_SIZE_MIN = 16 * 1024
RESERVED_FILES = 32  # file descriptors that are reserved for other purposes than clients
LOCALES = ("", "C", "POSIX", "C.UTF-8")
TLS_SETTINGS = (
    "tls-cert-file",
    "tls-key-file",
    "tls-key-file-pass",
    "tls-client-cert-file",
    "tls-client-key-file",
    "tls-client-key-file-pass",
    "tls-dh-params-file",
    "tls-ca-cert-file",
    "tls-ca-cert-dir",
    "tls-auth-clients",
    "tls-protocols",
    "tls-ciphers",
    "tls-ciphersuites",
    "tls-prefer-server-ciphers",
    "tls-session-caching",
)
"""The directives that determine a world's TLS contexts."""
OOM_SCORE_FILE = "/proc/self/oom_score_adj"

# Addresses of these families are skipped if the machine does not support them.
_NO_SUCH_FAMILY = (
    errno.ENOPROTOOPT,
    errno.EPROTONOSUPPORT,
    errno.ESOCKTNOSUPPORT,
    errno.EPFNOSUPPORT,
    errno.EAFNOSUPPORT,
)


def host_of(address: str) -> str:
    """Return the listening addresses for an address of `bind`."""
    host = address.removeprefix("-")
    return {"*": "0.0.0.0", "::*": "::"}.get(host, host)


def config_set(node: Server, pairs: list[tuple[bytes, bytes]], allow_protected: bool) -> None:
    """Execute CONFIG SET; raises its error after restoring all settings."""
    config = node.config
    old_dir = config.dir
    change = config.set(pairs, loading=node.conditions.load is not None, allow_protected=allow_protected)
    moved = "dir" in change.names
    if moved:
        try:
            config.dir = node.output.run_now(ChangeDir(config.dir))
        except OSError as error:
            config.undo(change)
            raise failed("dir", error.strerror or str(error)) from None
    for warning in change.warnings:
        node.output.log("#", warning)
    applied: list[Apply] = []
    for name in change.names:
        apply = APPLY.get(name)
        if apply is None or apply in applied:
            continue
        applied.append(apply)
        why_not = apply(node, change.old)
        if why_not is not None:
            node.output.log(
                "#",
                f"Failed applying new configuration. Possibly related to new {name} setting. "
                "Restoring previous settings.",
            )
            _take_back(node, change, applied)
            if moved:
                node.output.run_now(ChangeDir(old_dir))
            raise failed(name, why_not)
    node.configured()


def _take_back(node: Server, change: ConfigChange, applied: list[Apply]) -> None:
    config = node.config
    refused = {attribute: getattr(config, attribute) for attribute in change.old}
    config.undo(change)
    for apply in applied:
        why_not = apply(node, refused)
        if why_not is not None:
            node.output.log("#", f"Failed applying restored failed CONFIG SET command: {why_not}")
    node.configured()


_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def rewrite_config(
    node: Server,
    force: bool = False,
    more: Callable[[Draft], None] | None = None,
    without: Collection[str] = (),
) -> None:
    """Write the configuration to the file with which the server was started; raises OSError.

    The file is replaced atomically: after a crash it is either the old one or the new one. See `rewrite` for the
    rest.
    """
    path = node.config.config_file
    try:
        old_text = node.output.run_now(Read(path))
    except FileNotFoundError:
        old_text = b""
    users = None if node.config.aclfile else node.acl.describe_all()
    text = rewrite(old_text, node.config, users, force, more, without)
    temporary = f"{path}.tmp-{node.facts()['pid']}-{node.clock.now_ms}"
    problem = "Could not create tmp config file"
    try:
        node.output.run_now(Write(temporary, text))
        problem = "Could not sync tmp config file to disk"
        node.output.run_now(Sync(temporary))
        problem = "Could not rename tmp config file"
        node.output.run_now(Rename(temporary, path))
    except OSError as error:
        if error.errno in _DISK_FULL:
            problem = "Failed after writing (0) bytes to tmp config file"
        node.output.log("#", f"{problem} ({error.strerror or error})")
        node.output.effects.append(Unlink(temporary))
        raise
    node.output.log(".", f"Rewritten config file ({path}) successfully")


def load_modules(config: Config) -> list[str]:
    """Return the warnings to log if the configuration loads modules: this server cannot run C code, so it exits."""
    for path, *_ in config.modules:
        name = to_str(path)
        return [
            f"Module {name} failed to load: modules are not supported",
            f"Can't load module from {name}: server aborting",
        ]
    if config.module_directives:
        return ["Module Configuration detected without loadmodule directive or no ApplyConfig call: aborting"]
    return []


def load_users(node: Server) -> list[str]:
    """Create the users declared in the configuration or its ACL file.

    Returns the warnings to log if the server cannot start with them, otherwise nothing.
    """
    config = node.config
    if config.aclfile and config.users:
        return [
            "Configuring Redis with users defined in redis.conf and at the same setting an ACL file path is invalid. "
            "This setup is very likely to lead to configuration errors and security holes, please define either an "
            "ACL file or declare users directly in your redis.conf, but not both."
        ]
    try:
        node.acl.load_configured(config.users)
    except ReplyError as error:
        return [to_str(error.text), "Critical error while loading ACLs. Exiting."]
    if config.aclfile:
        name = to_bytes(config.aclfile)
        try:
            node.acl.replace(node.acl.parse_file(node.output.run_now(Read(config.aclfile)), name))
        except OSError as error:
            reason = f"Error loading ACLs, opening file '{config.aclfile}': {error.strerror}"
            return [f"Aborting Redis startup because of ACL errors: {reason}"]
        except ReplyError as error:
            return [f"Aborting Redis startup because of ACL errors: {to_str(error.text)}"]
    return []


def reset_statistics(node: Server) -> None:
    """Reset the counters that CONFIG RESETSTAT resets."""
    node.stats.reset()
    node.stats.commands.clear()
    space = node.space
    space.hits = space.misses = space.expired_keys = 0
    node.stats.rates.reset()


# --- applying changes -----------------------------------------------------------------------------------------------


def _append_only(node: Server, old: OldValues) -> str | None:
    if not node.config.appendonly:
        node.aof.disable()
    elif not node.aof.enable():
        return "Unable to turn on AOF. Check server logs."
    return None


def _watchdog(node: Server, old: OldValues) -> str | None:
    node.cron.soon()  # the cron starts it
    return None


def _auto_gc(node: Server, old: OldValues) -> str | None:
    node.aof.remove_history()
    return None


def _hz(node: Server, old: OldValues) -> str | None:
    node.config.hz = sane_hz(node.config.hz)
    return None


def _backlog_size(node: Server, old: OldValues) -> str | None:
    node.config.repl_backlog_size = max(node.config.repl_backlog_size, BACKLOG_SIZE_MIN)
    if node.replication.backlog is not None:
        node.replication.backlog.size_bytes = node.config.repl_backlog_size
        node.master.trim_backlog()
    return None


def _maxmemory(node: Server, old: OldValues) -> str | None:
    limit = node.config.maxmemory
    used = node.memory.used() if limit else 0
    if limit and limit < used:
        node.output.log(
            "#",
            f"WARNING: the new maxmemory value set via CONFIG SET ({limit}) is smaller than the current memory usage "
            f"({used}). This will result in key eviction and/or the inability to accept new write commands depending "
            "on the maxmemory-policy.",
        )
    if limit:
        node.eviction.due = True
        node.cron.soon()
    return None


def _requirepass(node: Server, old: OldValues) -> str | None:
    node.acl.set_default_password(node.config.requirepass)
    return None


def _locale(node: Server, old: OldValues) -> str | None:
    return None if node.config.locale_collate in LOCALES else "Invalid locale name"


def _title(node: Server, old: OldValues) -> str | None:
    node.output.effects.append(Title())
    return None


def _max_clients(node: Server, old: OldValues) -> str | None:
    limit = node.facts().get("open_files_max")
    if limit is None or node.config.maxclients + RESERVED_FILES <= limit:
        return None
    return (
        "The operating system is not able to handle the specified number of clients, "
        f"try with {limit - RESERVED_FILES}"
    )


def set_oom_score(node: Server, old: OldValues | None = None) -> str | None:
    """Set the OOM score of this process according to its role (at startup and when the role changes)."""
    config = node.config
    try:
        if config.oom_score_adj != "no":
            if node.process.oom_score_base is None:
                node.process.oom_score_base = int(node.output.run_now(Read(OOM_SCORE_FILE)))
            score = _oom_score(node, 1 if config.replicaof else 0)
        elif node.process.oom_score_base is not None:
            score, node.process.oom_score_base = _in_range(node.process.oom_score_base), None
        else:
            return None
        node.output.run_now(Write(OOM_SCORE_FILE, b"%d\n" % score))
    except OSError as error:
        node.output.log("#", f"Unable to write oom_score_adj: {error.strerror}")
        return "Failed to set current oom_score_adj. Check server logs."
    return None


def child_oom_score(node: Server) -> int | None:
    """Return the OOM score of a child that writes a snapshot, or None to leave it unchanged."""
    if node.config.oom_score_adj == "no" or node.process.oom_score_base is None:
        return None
    return _oom_score(node, 2)


def _oom_score(node: Server, kind: int) -> int:
    """Return the OOM score of a master (0), a replica (1) or a child (2)."""
    score = node.config.oom_score_adj_values[kind]
    if node.config.oom_score_adj == "yes":
        score += node.process.oom_score_base or 0
    return _in_range(score)


def _in_range(score: int) -> int:
    return max(-1000, min(1000, score))


def _listen_again(node: Server, kind: str, port_name: str, old: OldValues) -> bool:
    """Close the listeners of a kind and open the configured ones. Returns False if that fails."""
    config = node.config
    port: int = getattr(config, port_name)
    binds = dict.fromkeys((*old.get("bind", ()), *config.bind))
    for number in dict.fromkeys((old.get(port_name, port), port)):
        node.output.effects += [Unlisten(kind, host_of(address), number) for address in binds if number]
    opened: list[str] = []
    for address in config.bind if port else ():
        host = host_of(address)
        try:
            node.output.run_now(Listen(kind, host, port))
        except OSError as error:
            if error.errno in _NO_SUCH_FAMILY or (error.errno == errno.EADDRNOTAVAIL and address[0] == "-"):
                continue
            node.output.log(
                "#",
                f"Warning: Could not create server TCP listening socket {host}:{port}: bind: {error.strerror}",
            )
            node.output.log("#", f"Failed listening on port {port} ({kind}), aborting.")
            node.output.effects += [Unlisten(kind, host, port) for host in opened]
            return False
        opened.append(host)
    return True


def _port(node: Server, old: OldValues) -> str | None:
    if _listen_again(node, "tcp", "port", old):
        return None
    return "Unable to listen on this port. Check server logs."


def _tls_port(node: Server, old: OldValues) -> str | None:
    wrong = _tls(node, old)
    if wrong is not None:
        return wrong
    if _listen_again(node, "tls", "tls_port", old):
        return None
    return "Unable to listen on this port. Check server logs."


def _tls(node: Server, old: OldValues) -> str | None:
    if not uses_tls(node.config):
        return None
    try:
        node.output.run_now(CheckTls())
    except OSError as error:
        node.output.log("#", str(error))
        return "Unable to update TLS configuration. Check server logs."
    return None


def _bind(node: Server, old: OldValues) -> str | None:
    if _listen_again(node, "tcp", "port", old) and (
        not node.config.tls_port or _listen_again(node, "tls", "tls_port", old)
    ):
        return None
    return "Failed to bind to specified addresses."


APPLY: dict[str, Apply] = {
    "appendonly": _append_only,
    "aof-disable-auto-gc": _auto_gc,
    "bind": _bind,
    "hz": _hz,
    "locale-collate": _locale,
    "maxclients": _max_clients,
    "maxmemory": _maxmemory,
    "oom-score-adj": set_oom_score,
    "oom-score-adj-values": set_oom_score,
    "port": _port,
    "proc-title-template": _title,
    "repl-backlog-size": _backlog_size,
    "requirepass": _requirepass,
    "tls-port": _tls_port,
    "watchdog-period": _watchdog,
    **dict.fromkeys((*TLS_SETTINGS, "tls-replication"), _tls),
}
"""Functions that apply a changed directive, by the directive's name; other modules add theirs.

In addition, `Node.configured` is called after every successful CONFIG SET. A function receives the old values
by attribute, and returns the reason why the change cannot be applied, or None.
"""
