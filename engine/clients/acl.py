"""Access control lists: users, passwords, permissions.

A user has passwords (as SHA-256) and selectors. A selector is a set of permissions; one selector must allow the whole
command with all its keys and channels. Plain rules change the first one, the root; further ones are in parentheses.

Command rules are kept in the order in which they were given, for ACL LIST and ACL SAVE, together with the resulting
set of commands. A user whose root selector allows everything costs nothing: its clients need no checks (see
`Client.update_checks`).

https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/
"""

import hashlib
import hmac
from dataclasses import dataclass, field

from engine.clients import client as flags
from engine.clients.client import Client
from engine.clients.connections import Connections
from engine.clients.describe import describe
from engine.clients.execution import Execution
from engine.core import Core
from engine.protocol.errors import ReplyError, c_text
from engine.protocol.glob import glob_match
from engine.protocol.resp import Argv, split_args
from engine.table.declarations import (
    ACL_CATEGORIES,
    KEY_ACCESS,
    KEY_DELETE,
    KEY_INSERT,
    KEY_UPDATE,
    NO_AUTH,
    Command,
    CommandTable,
    KeyRef,
    keys_of,
)
from engine.values.rng import Secret

DEFAULT_USER = b"default"
READ, WRITE = 1, 2
CATEGORY_BITS = {name: 1 << i for i, name in enumerate(ACL_CATEGORIES)}
LOG_SCANNED = 10  # entries of the log that a new one is compared with
LOG_GROUPING_MS = 60_000

# Reasons for a denial, by increasing relevance: of several selectors' reasons, the highest is reported.
DENIED_CMD, DENIED_KEY, DENIED_AUTH, DENIED_CHANNEL = 1, 2, 3, 4
REASONS = {DENIED_CMD: b"command", DENIED_KEY: b"key", DENIED_AUTH: b"auth", DENIED_CHANNEL: b"channel"}

UNKNOWN = b"Unknown command or category name in ACL"
SYNTAX = b"Syntax error"
AFTER_ALL_KEYS = (
    b"Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. "
    b"Try 'resetkeys' to start with an empty list of patterns"
)
AFTER_ALL_CHANNELS = (
    b"Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. "
    b"Try 'resetchannels' to start with an empty list of channels"
)
NO_SUCH_PASSWORD = b"The password you are trying to remove from the user does not exist"
BAD_HASH = b"The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
FIRST_ARG_OF_SUBCOMMAND = b"Allowing first-arg of a subcommand is not supported"


class RuleError(Exception):
    """A rule that cannot be applied; `text` is the reason."""

    def __init__(self, text: bytes) -> None:
        super().__init__(text)
        self.text = text


def has_spaces(text: bytes) -> bool:
    """Return whether a name or pattern contains spaces or null characters, which ACL files cannot represent."""
    return any(byte in b" \t\n\v\f\r\0" for byte in text)


@dataclass(frozen=True, slots=True)
class Denial:
    """Why a user may not run a command."""

    reason: int
    position: int  # of the argument that was denied; 0 for the command itself


class Selector:
    """A set of permissions."""

    def __init__(self, table: CommandTable) -> None:
        self.table = table
        self.all_keys = False
        self.all_channels = False
        self.all_commands = False
        self.future_commands = False  # began with +@all: commands added later are also allowed
        self.allowed: dict[bytes, None] = {}
        self.first_args: dict[bytes, list[bytes]] = {}
        self.rules: list[bytes] = []
        self.patterns: dict[bytes, int] = {}
        self.channels: dict[bytes, None] = {}

    def copy(self) -> "Selector":
        """Return an independent copy."""
        other = Selector(self.table)
        other.__dict__.update(self.__dict__)
        other.allowed = dict(self.allowed)
        other.first_args = {name: list(args) for name, args in self.first_args.items()}
        other.rules = list(self.rules)
        other.patterns = dict(self.patterns)
        other.channels = dict(self.channels)
        return other

    @property
    def unrestricted(self) -> bool:
        """Whether it allows everything."""
        return self.all_keys and self.all_channels and self.all_commands

    # --- rules --------------------------------------------------------------------------------------------------

    def apply(self, op: bytes) -> None:
        """Apply one rule; raises RuleError."""
        if op[:1] in (b"+", b"-"):
            op = c_text(op)
        lower = op.lower()
        if lower in (b"allkeys", b"~*"):
            self.all_keys = True
            self.patterns.clear()
        elif lower == b"resetkeys":
            self.all_keys = False
            self.patterns.clear()
        elif lower in (b"allchannels", b"&*"):
            self.all_channels = True
            self.channels.clear()
        elif lower == b"resetchannels":
            self.all_channels = False
            self.channels.clear()
        elif lower in (b"allcommands", b"+@all", b"nocommands", b"-@all"):
            self._all(lower in (b"allcommands", b"+@all"))
        elif op[:1] in (b"~", b"%"):
            self._add_pattern(op)
        elif op[:1] == b"&":
            if self.all_channels:
                raise RuleError(AFTER_ALL_CHANNELS)
            if has_spaces(op[1:]):
                raise RuleError(SYNTAX)
            self.channels[op[1:]] = None
        elif op[:2] in (b"+@", b"-@"):
            self._category(op)
        elif op[:1] == b"+" and b"|" in op:
            self._allow_first_arg(op[1:])
        elif op[:1] in (b"+", b"-"):
            command = self.table.lookup(op[1:])
            if command is None:
                raise RuleError(UNKNOWN)
            self._permit(command, op[:1] == b"+")
            self._note_rule(op[:1], command.name)
        else:
            raise RuleError(SYNTAX)

    def _all(self, allow: bool) -> None:
        self.all_commands = self.future_commands = allow
        self.allowed = dict.fromkeys(command.name for command in self.table.every()) if allow else {}
        self.rules = []
        self.first_args = {}

    def _add_pattern(self, op: bytes) -> None:
        if self.all_keys:
            raise RuleError(AFTER_ALL_KEYS)
        permission = READ | WRITE
        start = 1
        if op[:1] == b"%":
            permission = 0
            for letter in op[1:]:
                start += 1
                if letter in b"Rr" and not permission & READ:
                    permission |= READ
                elif letter in b"Ww" and not permission & WRITE:
                    permission |= WRITE
                elif letter == 126:  # '~'
                    break
                else:
                    raise RuleError(SYNTAX)
            if not permission:
                raise RuleError(SYNTAX)
        pattern = op[start:]
        if has_spaces(pattern):
            raise RuleError(SYNTAX)
        self.patterns[pattern] = self.patterns.get(pattern, 0) | permission

    def _category(self, op: bytes) -> None:
        bit = CATEGORY_BITS.get(op[2:].lower())
        if bit is None:
            raise RuleError(UNKNOWN)
        self._note_rule(op[:1], op[1:].lower())
        for command in self.table.every():
            if command.acl & bit:
                self._permit(command, op[:1] == b"+")

    def _permit(self, command: Command, allow: bool) -> None:
        """Allow or deny a command and all its subcommands."""
        for one in [command, *(command.subcommands or {}).values()]:
            if allow:
                self.allowed[one.name] = None
            else:
                self.allowed.pop(one.name, None)
                self.all_commands = False
        self.first_args.pop(command.name, None)

    def _allow_first_arg(self, rule: bytes) -> None:
        head, _, tail = rule.rpartition(b"|")
        command = self.table.lookup(head)
        if command is None:
            raise RuleError(UNKNOWN)
        if command.parent is not None:
            raise RuleError(FIRST_ARG_OF_SUBCOMMAND)
        if not tail:
            raise RuleError(SYNTAX)
        if command.subcommands is not None:
            subcommand = self.table.lookup(rule)
            if subcommand is None:
                raise RuleError(UNKNOWN)
            self._permit(subcommand, True)
        else:
            args = self.first_args.setdefault(command.name, [])
            if tail.lower() not in [arg.lower() for arg in args]:
                args.append(tail)
        self._note_rule(b"+", rule.lower())

    def _note_rule(self, sign: bytes, name: bytes) -> None:
        """Append a rule and drop earlier ones that it overrides: for the same command or one of its subcommands."""
        self.rules = [rule for rule in self.rules if rule[1:] != name and not rule[1:].startswith(name + b"|")]
        self.rules.append(sign + name)

    # --- description --------------------------------------------------------------------------------------------

    def describe_commands(self) -> bytes:
        """Return the command rules, starting with +@all or -@all."""
        return b" ".join([b"+@all" if self.future_commands else b"-@all", *self.rules])

    def describe_keys(self) -> bytes:
        """Return the key patterns as rules."""
        if self.all_keys:
            return b"~*"
        prefix = {READ | WRITE: b"~", READ: b"%R~", WRITE: b"%W~"}
        return b" ".join([prefix[permission] + pattern for pattern, permission in self.patterns.items()])

    def describe_channels(self) -> bytes:
        """Return the channel patterns as rules."""
        return b"&*" if self.all_channels else b" ".join([b"&" + channel for channel in self.channels])

    def describe(self) -> bytes:
        """Return all rules in the format of ACL LIST."""
        channels = self.describe_channels()
        if not self.all_channels:
            channels = b" ".join(filter(None, (b"resetchannels", channels)))
        return b" ".join(filter(None, (self.describe_keys(), channels, self.describe_commands())))

    # --- checks -------------------------------------------------------------------------------------------------

    def check(self, command: Command, argv: Argv, keys: list[KeyRef]) -> Denial | None:
        """Return why this selector denies a command; None if it allows it."""
        if not self.all_commands and not command.flags & NO_AUTH and command.name not in self.allowed:
            args = self.first_args.get(command.name)
            if args is None or len(argv) < 2 or argv[1].lower() not in [arg.lower() for arg in args]:
                return Denial(DENIED_CMD, 0)
        if not self.all_keys:
            for ref in keys:
                if not self.allows_key(argv[ref.position], ref.flags):
                    return Denial(DENIED_KEY, ref.position)
        if not self.all_channels and command.channel_spec is not None:
            for position in command.channel_spec.positions(argv) or ():
                if not self.allows_channel(argv[position], command.channel_patterns):
                    return Denial(DENIED_CHANNEL, position)
        return None

    def allows_key(self, key: bytes, access: int) -> bool:
        """Return whether a key may be accessed in a certain way (KEY_* flags)."""
        if self.all_keys:
            return True
        needed = _permission(access)
        return any(
            permission & needed == needed and glob_match(pattern, key)
            for pattern, permission in self.patterns.items()
        )

    def allows_every_key(self, access: int) -> bool:
        """Return whether all keys may be accessed in a certain way (SORT BY, whose keys are unknown in advance)."""
        needed = _permission(access)
        return self.all_keys or self.patterns.get(b"*", 0) & needed == needed != 0

    def allows_channel(self, channel: bytes, is_pattern: bool) -> bool:
        """Return whether a channel may be accessed; a subscriber's pattern must be listed literally."""
        if self.all_channels:
            return True
        return allowed_channel(self.channels, channel, is_pattern)


def allowed_channel(allowed: dict[bytes, None], channel: bytes, is_pattern: bool) -> bool:
    """Return whether a channel, or a pattern of channels, is allowed."""
    if is_pattern:
        return channel in allowed
    return any(glob_match(pattern, channel) for pattern in allowed)


def _permission(access: int) -> int:
    return (READ if access & KEY_ACCESS else 0) | (WRITE if access & (KEY_INSERT | KEY_DELETE | KEY_UPDATE) else 0)


class User:
    """A user: passwords and selectors."""

    def __init__(self, name: bytes, table: CommandTable, all_channels: bool = False) -> None:
        self.name = name
        self.enabled = False
        self.no_pass = False
        self.sanitize = True
        self.passwords: dict[bytes, None] = {}
        self.table = table
        self.selectors = [Selector(table)]
        self.selectors[0].all_channels = all_channels
        self.all_channels_on_reset = all_channels

    @property
    def root(self) -> Selector:
        """The selector that plain rules change."""
        return self.selectors[0]

    def copy(self) -> "User":
        """Return an independent copy."""
        other = User(self.name, self.table)
        other.__dict__.update(self.__dict__)
        other.passwords = dict(self.passwords)
        other.selectors = [selector.copy() for selector in self.selectors]
        return other

    def apply(self, op: bytes) -> None:
        """Apply one rule; raises RuleError."""
        lower = op.lower()
        if not op:
            return
        if lower in (b"on", b"off"):
            self.enabled = lower == b"on"
        elif lower in (b"sanitize-payload", b"skip-sanitize-payload"):
            self.sanitize = lower == b"sanitize-payload"
        elif lower == b"nopass":
            self.no_pass = True
            self.passwords.clear()
        elif lower == b"resetpass":
            self.no_pass = False
            self.passwords.clear()
        elif op[:1] in (b">", b"#"):
            self.passwords[_hashed(op)] = None
            self.no_pass = False
        elif op[:1] in (b"<", b"!"):
            hashed = _hashed(op)
            if hashed not in self.passwords:
                raise RuleError(NO_SUCH_PASSWORD)
            del self.passwords[hashed]
        elif op[:1] == b"(" and op[-1:] == b")":
            selector = Selector(self.table)
            selector.all_channels = False
            for rule in split_args(op[1:-1]) or []:
                selector.apply(rule)
            self.selectors.append(selector)
        elif lower == b"clearselectors":
            del self.selectors[1:]
        elif lower == b"reset":
            self.reset()
        else:
            self.root.apply(op)

    def reset(self) -> None:
        """Restore the state of a new user."""
        for op in (b"resetpass", b"resetkeys", b"resetchannels"):
            self.apply(op)
        if self.all_channels_on_reset:
            self.apply(b"allchannels")
        for op in (b"off", b"sanitize-payload", b"clearselectors", b"-@all"):
            self.apply(op)

    @property
    def flags(self) -> list[bytes]:
        """The flags that ACL GETUSER shows."""
        names = [b"on" if self.enabled else b"off"]
        if self.no_pass:
            names.append(b"nopass")
        names.append(b"sanitize-payload" if self.sanitize else b"skip-sanitize-payload")
        return names

    def describe(self) -> bytes:
        """Return the user's rules, as in a `user` line of a configuration file."""
        parts = [*self.flags, *[b"#" + password for password in self.passwords], self.root.describe()]
        parts += [b"(%b)" % selector.describe() for selector in self.selectors[1:]]
        return b" ".join(parts)

    def accepts(self, password: bytes) -> bool:
        """Return whether a password is valid for the user. Takes the same time for any wrong password."""
        if not self.enabled:
            return False
        if self.no_pass:
            return True
        hashed = hashlib.sha256(password).hexdigest().encode()
        found = False
        for known in self.passwords:
            found |= hmac.compare_digest(known, hashed)
        return found

    @property
    def unrestricted(self) -> bool:
        """Whether every command on every key and channel is allowed."""
        return any(selector.unrestricted for selector in self.selectors)

    def check(self, command: Command, argv: Argv) -> Denial | None:
        """Return why the user may not run a command; None if a selector allows it."""
        keys: list[KeyRef] = []
        if any(not selector.all_keys for selector in self.selectors):
            try:
                keys = keys_of(command, argv)
            except ReplyError:
                keys = []  # the command itself will report the error in its arguments
        worst = Denial(DENIED_CMD, 0)
        for selector in self.selectors:
            denial = selector.check(command, argv, keys)
            if denial is None:
                return None
            if (denial.reason, denial.position) > (worst.reason, worst.position):
                worst = denial
        return worst


def _hashed(op: bytes) -> bytes:
    """Return the password hash of a rule, computing it if the rule contains the password."""
    if op[:1] in (b">", b"<"):
        return hashlib.sha256(op[1:]).hexdigest().encode()
    if len(op) != 65 or not set(op[1:]) <= set(b"0123456789abcdef"):
        raise RuleError(BAD_HASH)
    return op[1:]


def merge_selectors(rules: list[bytes]) -> list[bytes]:
    """Join selectors that span several arguments; raises LookupError with the index of the first unmatched rule."""
    merged: list[bytes] = []
    opened: list[bytes] = []
    for rule in rules:
        if opened:
            opened.append(rule)
            if rule[-1:] == b")":
                merged.append(b" ".join(opened))
                opened = []
        elif rule[:1] == b"(" and rule[-1:] != b")":
            opened = [rule]
        else:
            merged.append(rule)
    if opened:
        raise LookupError(rules.index(opened[0]))
    return merged


@dataclass(slots=True)
class LogEntry:
    """One kind of denial in the ACL log, and how often it occurred."""

    reason: int
    context: bytes
    object: bytes
    user: bytes
    now_ms: int
    client_info: bytes
    id: int
    created_ms: int
    count: int = field(default=1)


class Acl:
    """The users of a node."""

    def __init__(
        self, core: Core, secret: Secret, table: CommandTable, execution: Execution, connections: Connections
    ) -> None:
        self.config = core.config
        self.clock = core.clock
        self.output = core.output
        self.stats = core.stats
        self.secret = secret
        self.table = table
        self.execution = execution
        self.connections = connections
        self.clients = connections.clients
        self.users: dict[bytes, User] = {}
        self.log: list[LogEntry] = []
        self.next_log_id = 0
        self.users[DEFAULT_USER] = self.default_user()
        self.set_default_password(core.config.requirepass)

    def new_user(self, name: bytes) -> User:
        """Create a user without any permissions; does not add it."""
        return User(name, self.table, self.config.acl_pubsub_default == "allchannels")

    def default_user(self) -> User:
        """Create the default user of a new server; does not add it."""
        user = self.new_user(DEFAULT_USER)
        for op in (b"+@all", b"~*", b"&*", b"on", b"nopass"):
            user.apply(op)
        return user

    def set_default_password(self, password: bytes) -> None:
        """Make this the only password of the default user; if empty, no password is needed (requirepass)."""
        user = self.users[DEFAULT_USER]
        user.apply(b"resetpass")
        user.apply(b">" + password if password else b"nopass")

    def default_needs_no_password(self) -> bool:
        """Return whether the default user accepts any password."""
        return self.users[DEFAULT_USER].no_pass

    def has_user(self, name: bytes) -> bool:
        """Return whether a user of that name exists."""
        return name in self.users

    # --- clients ------------------------------------------------------------------------------------------------

    def welcome(self, client: Client) -> None:
        """Set the initial user of a new client."""
        user = self.users[DEFAULT_USER]
        client.user = DEFAULT_USER
        client.authenticated = user.no_pass and user.enabled

    def authenticate(self, client: Client, name: bytes, password: bytes) -> None:
        """Authenticate a client; raises WRONGPASS."""
        user = self.users.get(name)
        if user is None or not user.accepts(password):
            self.note(client, Denial(DENIED_AUTH, 0), [b"AUTH"], None, name)
            raise ReplyError(b"WRONGPASS invalid username-password pair or user is disabled.")
        client.user = name
        client.authenticated = True
        client.update_checks()

    def unrestricted(self, name: bytes | None) -> bool:
        """Return whether a user may run every command on every key and channel, which makes checks unnecessary."""
        return name is None or self.users[name].unrestricted

    def refusal(self, ctx: Client, command: Command, argv: Argv) -> ReplyError | None:
        """Return the error for a command that the client's user may not run, and log it; None if allowed."""
        denial = self.check(ctx, command, argv)
        if denial is None:
            return None
        self.note(ctx, denial, argv, command)
        assert ctx.user is not None
        return ReplyError(b"NOPERM " + denial_text(denial, ctx.user, command))

    def check(self, ctx: Client, command: Command, argv: Argv) -> Denial | None:
        """Return why a client's user may not run a command; None if it may. Logs nothing."""
        if ctx.user is None:
            return None
        user = self.users[ctx.user]
        return None if user.unrestricted else user.check(command, argv)

    def reads_every_key(self, ctx: Client) -> bool:
        """Return whether a client's user may read every key (SORT BY and GET)."""
        if ctx.user is None:
            return True
        return any(selector.allows_every_key(KEY_ACCESS) for selector in self.users[ctx.user].selectors)

    # --- changing users -----------------------------------------------------------------------------------------

    def set_user(self, name: bytes, rules: list[bytes]) -> None:
        """Create or change a user by applying all rules or none; raises ReplyError."""
        try:
            merged = merge_selectors(rules)
        except LookupError as unmatched:
            raise ReplyError(
                b"ERR Unmatched parenthesis in acl selector starting at '%b'." % c_text(rules[unmatched.args[0]])
            ) from None
        before = self.users.get(name)
        after = before.copy() if before is not None else self.new_user(name)
        after.all_channels_on_reset = self.config.acl_pubsub_default == "allchannels"
        for op in merged:
            try:
                after.apply(op)
            except RuleError as error:
                raise ReplyError(b"ERR Error in ACL SETUSER modifier '%b': %b" % (c_text(op), error.text)) from None
        self.users[name] = after
        if before is not None:
            self._hang_up_listeners(before, after)
        self._update_checks(name)

    def delete_user(self, name: bytes) -> bool:
        """Remove a user and disconnect its clients. Returns False if there is no such user."""
        if self.users.pop(name, None) is None:
            return False
        self._hang_up(name)
        return True

    def replace(self, users: dict[bytes, User]) -> None:
        """Replace all users (ACL LOAD); clients of removed or changed users are disconnected."""
        users.setdefault(DEFAULT_USER, self.default_user())
        gone = [name for name in self.users if name != DEFAULT_USER]
        self.users = users
        for name in gone:
            self._hang_up(name)
        self._update_checks(DEFAULT_USER)

    def _update_checks(self, name: bytes) -> None:
        for client in self.clients.values():
            if client.user == name:
                client.update_checks()

    def _hang_up(self, name: bytes) -> None:
        for client in list(self.clients.values()):
            if client.user == name and client.link:
                if client is self.execution.client:
                    # It still receives the reply of the command that removed its user.
                    client.user = DEFAULT_USER
                    client.close_after_reply()
                else:
                    self.connections.close_now(client)

    def _hang_up_listeners(self, before: User, after: User) -> None:
        """Disconnect subscribers to channels that the user may no longer access."""
        if any(selector.all_channels for selector in after.selectors):
            return
        allowed: dict[bytes, None] = {}
        for selector in after.selectors:
            allowed |= selector.channels
        if not any(selector.all_channels for selector in before.selectors) and all(
            channel in allowed for selector in before.selectors for channel in selector.channels
        ):
            return
        for client in list(self.clients.values()):
            if client.user != after.name or not client.flags & flags.PUBSUB:
                continue
            if not (
                all(allowed_channel(allowed, pattern, True) for pattern in client.patterns)
                and all(allowed_channel(allowed, channel, False) for channel in client.channels)
                and all(allowed_channel(allowed, channel, False) for channel in client.shard_channels)
            ):
                if client is self.execution.client:
                    client.close_after_reply()
                else:
                    self.connections.close_now(client)

    # --- configuration and files --------------------------------------------------------------------------------

    def load_configured(self, lines: list[list[bytes]]) -> None:
        """Apply the `user` lines of a configuration file; raises ReplyError with the reason."""
        for name, *rules in lines:
            if has_spaces(name):
                raise ReplyError(b"Spaces not allowed in ACL usernames")
            user = self.users[DEFAULT_USER] if name == DEFAULT_USER else self.new_user(name)
            if name == DEFAULT_USER:
                user.reset()
            for op in merge_selectors(rules):
                try:
                    user.apply(op)
                except RuleError as error:
                    raise ReplyError(
                        b"Error loading ACL rule '%b' for the user named '%b': %b" % (op, name, error.text)
                    ) from None
            self.users[name] = user
            if not user.enabled:
                shown = name.decode(errors="surrogateescape")
                self.output.log(
                    "*",
                    f"The user '{shown}' is disabled (there is no 'on' modifier in the user description). Make sure "
                    "this is not a configuration error.",
                )

    def parse_file(self, text: bytes, filename: bytes) -> dict[bytes, User]:
        """Parse an ACL file; raises ReplyError with all errors in the file."""
        users: dict[bytes, User] = {}
        errors = b""
        for number, raw in enumerate(text.split(b"\n"), 1):
            line = raw.strip(b" \t\r\n")
            if not line:
                continue
            argv = line.split(b" ")
            place = b"%b:%d" % (filename, number)
            if argv[0] != b"user" or len(argv) < 2:
                errors += b"%b should start with user keyword followed by the username. " % place
                continue
            name = argv[1]
            if has_spaces(name):
                errors += b"'%b: username '%b' contains invalid characters. " % (place, name)
                continue
            if name in users:
                errors += b"WARNING: Duplicate user '%b' found on line %d. " % (name, number)
                continue
            user = users[name] = self.new_user(name)
            try:
                rules = merge_selectors(argv[2:])
            except LookupError:
                errors += b"%b: Unmatched parenthesis in selector definition." % place
                continue
            errors += self._apply_line(user, rules, place)
        if errors:
            raise ReplyError(
                errors + b"WARNING: ACL errors detected, no change to the previously active ACL rules was performed"
            )
        return users

    @staticmethod
    def _apply_line(user: User, rules: list[bytes], place: bytes) -> bytes:
        errors = b""
        told = False
        for rule in rules:
            op = rule.strip(b"\t\r\n")
            try:
                user.apply(op)
            except RuleError as error:
                if error.text == UNKNOWN:
                    errors += b"%b: Error in applying operation '%b': %b. " % (place, op, error.text)
                elif not told:
                    # Later rules may fail because of this one, and the rule itself may contain a password.
                    errors += b"%b: %b. " % (place, error.text)
                    told = True
        return errors

    def describe_all(self) -> list[bytes]:
        """Return one line for each user, sorted by name, in the format of ACL LIST and ACL files."""
        return [b"user %b %b" % (name, self.users[name].describe()) for name in sorted(self.users)]

    # --- log ----------------------------------------------------------------------------------------------------

    def note(
        self, ctx: Client, denial: Denial, argv: Argv, command: Command | None, user: bytes | None = None
    ) -> None:
        """Record a denial in the log and the statistics."""
        stats = self.stats
        if denial.reason == DENIED_AUTH:
            stats.acl_access_denied_auth += 1
        elif denial.reason == DENIED_CMD:
            stats.acl_access_denied_cmd += 1
        elif denial.reason == DENIED_KEY:
            stats.acl_access_denied_key += 1
        else:
            stats.acl_access_denied_channel += 1
        what = argv[denial.position]
        if denial.reason == DENIED_CMD and command is not None:
            what = command.name
        context = b"lua" if ctx.flags & flags.SCRIPT else b"multi" if ctx.flags & flags.MULTI else b"toplevel"
        name = user if user is not None else ctx.user or b""
        now_ms = self.clock.now_ms
        shown = self.execution.script_caller or ctx
        for i, entry in enumerate(self.log[:LOG_SCANNED]):
            if (entry.reason, entry.context, entry.object, entry.user) == (
                denial.reason,
                context,
                what,
                name,
            ) and abs(entry.now_ms - now_ms) <= LOG_GROUPING_MS:
                entry.client_info = describe(shown)
                entry.now_ms = now_ms
                entry.count += 1
                self.log.insert(0, self.log.pop(i))
                return
        entry = LogEntry(denial.reason, context, what, name, now_ms, describe(shown), self.next_log_id, now_ms)
        self.next_log_id += 1
        self.log.insert(0, entry)
        del self.log[max(0, self.config.acllog_max_len) :]


def denial_text(denial: Denial, user: bytes, command: Command, argument: bytes | None = None) -> bytes:
    """Describe a denial; with `argument` (ACL DRYRUN) the text contains the key or channel."""
    if denial.reason == DENIED_CMD:
        return b"User %b has no permissions to run the '%b' command" % (user, command.name)
    kind = b"key" if denial.reason == DENIED_KEY else b"channel"
    if argument is not None:
        return b"User %b has no permissions to access the '%b' %b" % (user, argument, kind)
    return b"No permissions to access a %b" % kind


def check_user_line(argv: list[bytes], table: CommandTable) -> tuple[int, bytes] | None:
    """Return the index of the wrong argument of a configuration file's `user` line and why; None if no error is
    found.

    Unknown commands are accepted: they are reported when the users are created.
    """
    try:
        rules = merge_selectors(argv[2:])
    except LookupError as unmatched:
        return unmatched.args[0] + 2, SYNTAX
    user = User(b"", table)
    for i, op in enumerate(rules):
        try:
            user.apply(op)
        except RuleError as error:
            if error.text != UNKNOWN:
                return i, error.text
    return None
