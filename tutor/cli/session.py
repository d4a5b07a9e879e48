"""One user's conversation with a server: connect, send a command, print its replies, follow what they change.

The rules are redis-cli's: a connection that fails to authenticate is kept and used all the same; a lost connection is
said once and made again with the next command; pushes are shown on a terminal, dropped elsewhere, and are ordinary
replies while subscribed.
"""

import contextlib
import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from engine.protocol.errors import ReplyError
from engine.protocol.resp import Push
from tutor.cli.debugger import Debugging
from tutor.cli.options import CliExit, Options, complain
from tutor.client import Connection, LinkError, TLSError
from tutor.prompt import (
    CommandDocs,
    OutputMode,
    PromptState,
    format_invalidate,
    format_reply,
    help_text,
    is_invalidate,
    plain,
    prints_raw,
    to_text,
)
from tutor.prompt.replies import INCOMPLETE
from tutor.prompt.state import SUBSCRIBE, UNSUBSCRIBE, c_integer

Reply = Any


class CliSession:
    """The connection, what is known of its state, and where output goes.

    `interactive` is redis-cli's word for reading commands one by one, from a terminal or a pipe. `on_terminal` tells
    whether output is shown to a person. `paint` may replace the way replies are shown to one (colors).
    """

    def __init__(self, options: Options, *, on_terminal: bool) -> None:
        self.options = options
        self.on_terminal = on_terminal
        self.interactive = False
        self.interruptible = False  # Ctrl-C ends the wait for a reply, not the program
        self.connection: Connection | None = None
        self.state = PromptState(host=options.host, port=options.port, socket=options.socket, wanted_db=options.db)
        self.debugging = Debugging()
        self.last_reply: Reply = None
        self.paint: Callable[[Reply, bool], None] | None = None
        self._shutting_down = False
        self._redirected = False
        self._asking = False
        self._docs: CommandDocs | None = None

    # --- output -------------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Write to standard output, at once."""
        try:
            sys.stdout.flush()
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            # the reader has closed the pipe: print nothing more, not even when the interpreter exits
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            raise CliExit(1) from None

    def say(self, text: str) -> None:
        """Write a line to standard output."""
        self.write(text.encode("utf-8", "surrogateescape") + b"\n")

    def show(self, reply: Reply, verbatim: bool = False) -> None:
        """Print a reply in the mode asked for."""
        if self.debugging.active:
            self.write(self.debugging.show(reply))
            if self.debugging.ended:
                self.options.output = OutputMode.STANDARD
            return
        if self.paint is not None and self.options.output is OutputMode.STANDARD:
            self.paint(reply, verbatim)
            return
        self.write(
            format_reply(
                reply,
                self.options.output,
                verbatim=verbatim,
                element_delimiter=self.options.element_delimiter,
                reply_delimiter=self.options.reply_delimiter,
            )
        )

    def _show_push(self, reply: Push) -> None:
        if self.options.output is OutputMode.STANDARD and is_invalidate(reply):
            self.write(format_invalidate(reply))
        else:
            self.show(reply)

    def _drop_push(self, reply: Push) -> None:
        pass

    # --- connecting ---------------------------------------------------------------------------------------------

    def connect(self, *, force: bool = False, quiet: bool = False) -> bool:
        """Connect, authenticate, select the database, switch the protocol. False when something of it failed.

        A connection that only failed to authenticate stays, and is used: the server says what it allows.
        """
        if self.connection is None or force:
            self.close()
            try:
                self.connection = self.open()
            except TLSError as error:
                if not quiet:
                    complain(f"Could not negotiate a TLS connection: {error}")
                return False
            except LinkError as error:
                if not quiet:
                    self._complain_of_connection(error)
                return False
            self.state.connected = True
            try:
                if not (self._authenticate() and self.select() and self._switch_protocol()):
                    return False
            except LinkError:
                complain("\nI/O error")
                self.close()
                return False
        self._hear_pushes(True)
        return True

    def open(self, timeout: float | None = None) -> Connection:
        """Open a bare connection to the server the session talks to. Raises LinkError."""
        options, state = self.options, self.state
        if state.socket is not None and not self._redirected:
            return Connection.unix(state.socket, timeout=timeout, tls=options.tls)
        return Connection.tcp(state.host, state.port, timeout=timeout, tls=options.tls)

    def credentials(self) -> list[bytes] | None:
        """Return the AUTH command that connections begin with, or None."""
        if self.options.password is None:
            return None
        words = ["AUTH", self.options.user, self.options.password]
        return [word.encode("utf-8", "surrogateescape") for word in words if word is not None]

    def close(self) -> None:
        """Hang up."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None
        self.state.connection_lost()
        self.debugging.lost()

    def _complain_of_connection(self, error: LinkError) -> None:
        state = self.state
        where = state.socket if state.socket is not None and not self._redirected else f"{state.host}:{state.port}"
        complain(f"Could not connect to Redis at {where}: {error}")

    def _authenticate(self) -> bool:
        command = self.credentials()
        if command is None:
            return True
        assert self.connection is not None
        reply = self.connection.call(*command)
        if isinstance(reply, ReplyError):
            complain(f"AUTH failed: {to_text(reply.text)}")
            return False
        return True

    def select(self) -> bool:
        """Select the wanted database if it is not the current one."""
        assert self.connection is not None
        if self.state.wanted_db == self.state.db:
            return True
        reply = self.connection.call("SELECT", self.state.wanted_db)
        if isinstance(reply, ReplyError):
            complain(f"SELECT {self.state.wanted_db} failed: {to_text(reply.text)}")
            return False
        self.state.db = self.state.wanted_db
        return True

    def _switch_protocol(self) -> bool:
        if abs(self.options.resp) != 3:
            return True
        assert self.connection is not None
        reply = self.connection.call("HELLO", 3)
        self.state.resp3 = True
        if isinstance(reply, ReplyError):
            complain(f"HELLO 3 failed: {to_text(reply.text)}")
            return self.options.resp != 3
        return True

    def _hear_pushes(self, between_replies: bool) -> None:
        if self.connection is None:
            return
        if not between_replies:
            self.connection.on_push = None
        else:
            self.connection.on_push = self._show_push if self.options.show_pushes else self._drop_push

    # --- commands -----------------------------------------------------------------------------------------------

    def issue(self, argv: list[bytes], repeat: int = 1) -> bool:
        """Run a command as often as asked, connecting first where needed; False when the connection failed."""
        if argv[0].lower() in (b"help", b"?") and not self.debugging.active:
            self._help(argv[1:])
            return True
        while True:
            if (self._redirected or self.connection is None) and not self.connect(force=True):
                self._redirected = False
                return False
            self._redirected = False
            try:
                if self._asking:
                    self._send_asking()
                self._send(argv, repeat)
            except LinkError as error:
                if self._shutting_down:
                    self._shutting_down = False
                    self.close()
                    return True
                self._lost(error)
                return False
            except KeyboardInterrupt:
                # a reply is still to come on this connection: it is of no use any more
                if not self.interruptible:
                    raise
                self.write(b"\n")
                self.connect(force=True)
                return True
            if not self._redirected:
                return True

    def _lost(self, error: LinkError) -> None:
        complain(f"Error: {error}")
        if not (self.interactive and error.reset):
            self.close()
            raise CliExit(1)
        self.close()

    def _send_asking(self) -> None:
        assert self.connection is not None
        self._asking = False
        reply = self.connection.call("ASKING")
        if isinstance(reply, ReplyError):
            complain(f"ASKING failed: {to_text(reply.text)}")

    def _send(self, argv: list[bytes], repeat: int) -> None:
        assert self.connection is not None
        command = argv[0].lower()
        verbatim = prints_raw(argv)
        self._shutting_down = command == b"shutdown"
        confirmations = 0
        if self.debugging.before(argv):
            self.options.output = OutputMode.RAW
        while repeat:
            repeat -= 1 if repeat > 0 else 0
            self.connection.send(argv)
            if self.debugging.active:
                self.read_and_show()
                if self.debugging.ended:
                    return
                continue
            if command == b"monitor":
                self._monitor()
                return
            if command in (b"sync", b"psync"):
                from tutor.cli.replication import follow

                self.say("Entering replica output mode...  (press Ctrl-C to quit)")
                follow(self)
                return
            if command in SUBSCRIBE or command in UNSUBSCRIBE:
                confirmations = max(1, len(argv) - 1)
                self._hear_pushes(False)
            self._replies(argv, command, verbatim, confirmations)
            if self._redirected:
                return
            if self.options.interval_s:
                time.sleep(self.options.interval_s)

    def _replies(self, argv: list[bytes], command: bytes, verbatim: bool, confirmations: int) -> None:
        """Read and show what answers a command, passing by messages while subscribed."""
        while True:
            reply = self.read_and_show(verbatim)
            if self.state.subscribed or confirmations:
                if self.state.is_pubsub(reply):
                    if not (confirmations and self.state.is_confirmation(command, reply)):
                        continue
                    self.state.after(argv, reply)
                    confirmations -= 1
                    if confirmations:
                        continue
                elif isinstance(reply, Push):
                    continue
            self._follow(argv, command, reply)
            return

    def _follow(self, argv: list[bytes], command: bytes, reply: Reply) -> None:
        if command not in SUBSCRIBE:
            self.state.after(argv, reply)
        if command == b"auth" and len(argv) in (2, 3):
            self.select()
        elif (command == b"reset" and not isinstance(reply, ReplyError)) or (
            (command in SUBSCRIBE or command in UNSUBSCRIBE) and not self.state.subscribed
        ):
            self._hear_pushes(True)

    def _monitor(self) -> None:
        """Show MONITOR's output until Ctrl-C, then connect again."""
        try:
            while True:
                if isinstance(self.read_and_show(), ReplyError):
                    return
        except KeyboardInterrupt:
            if not self.interactive:
                raise
            self.write(b"\n")
            self.connect(force=True)

    def read_and_show(self, verbatim: bool = False) -> Reply:
        """Read one reply and show it, unless it redirects to another node. Raises LinkError."""
        assert self.connection is not None
        self.last_reply = reply = self.connection.read()
        if isinstance(reply, ReplyError):
            if self.options.follow_cluster and reply.text.startswith((b"MOVED ", b"ASK ")):
                self._redirect(reply.text)
                return reply
            if self.options.exit_on_error and not self.interactive:
                complain(to_text(reply.text))
                raise CliExit(1)
        self.show(reply, verbatim)
        return reply

    def _redirect(self, text: bytes) -> None:
        kind, slot, address = to_text(text).split(" ", 2)
        host, _, port = address.rpartition(":")
        if host:  # a cluster that does not know its address leaves it out
            self.state.host = host
        self.state.port = c_integer(port)
        if self.interactive:
            self.say(f"-> Redirected to slot [{c_integer(slot)}] located at {self.state.host}:{self.state.port}")
        self._redirected = True
        self._asking = kind == "ASK"

    # --- subscribed ---------------------------------------------------------------------------------------------

    def wait_for_messages(self) -> None:
        """Show messages while subscribed until something is typed; Ctrl-C leaves the subscriptions."""
        show_info = self.options.output is not OutputMode.RAW and self.on_terminal
        connection = self.connection
        assert connection is not None
        try:
            with _keys_at_once():
                while self.state.subscribed:
                    while (reply := connection.buffered()) is not INCOMPLETE:
                        self.show(reply)
                    if show_info:
                        self.write(_reading())
                    try:
                        from_server = self._wait(connection)
                    finally:
                        if show_info:
                            self.write(b"\033[K")
                    if from_server is None:
                        return
                    if from_server:
                        connection.receive()
        except LinkError as error:
            complain(f"Error: {error}")
            raise CliExit(1) from None
        except KeyboardInterrupt:
            if not self.connect(force=True):
                raise CliExit(1) from None

    @staticmethod
    def _wait(connection: Connection) -> bool | None:
        """Wait for the server (True) or a key (None); False after a while."""
        if connection.wait(timeout=0):
            return True
        ready, _, _ = select.select([connection, sys.stdin], [], [], 5)
        if connection in ready:
            return True
        return None if ready else False

    # --- help ---------------------------------------------------------------------------------------------------

    def _help(self, words: list[bytes]) -> None:
        for_people = sys.stdout.isatty()
        text = help_text(words, self.docs() if words else None, "" if for_people else "(null)")
        if for_people and os.environ.get("NO_COLOR"):
            text = plain(text)
        self.write(text.encode("utf-8", "surrogateescape"))

    def docs(self) -> CommandDocs:
        """Return the commands of the server at the other end, else our own: HELP speaks of what can be used."""
        if self._docs is None and not self.state.in_multi and not self.state.subscribed:
            self.connect(quiet=True)
            if self.connection is not None:
                with contextlib.suppress(LinkError, ValueError):
                    self._docs = CommandDocs.from_docs(self.connection.call("COMMAND", "DOCS"))
        return self._docs or CommandDocs.load()


def _reading() -> bytes:
    text = b"Reading messages... (press Ctrl-C to quit or any key to type command)\r"
    if "xterm" in os.environ.get("TERM", "") and not os.environ.get("NO_COLOR"):
        return b"\033[1;90m" + text + b"\033[0m"
    return text


@contextlib.contextmanager
def _keys_at_once() -> Iterator[None]:
    """Let a single key through: no echo, no waiting for Enter."""
    if not sys.stdin.isatty():
        yield
        return
    import termios

    before = termios.tcgetattr(sys.stdin)
    mode = termios.tcgetattr(sys.stdin)
    mode[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(sys.stdin, termios.TCSANOW, mode)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSANOW, before)
