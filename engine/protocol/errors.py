"""Error replies: the texts that are used in several modules.

A `ReplyError` is raised by a handler or a check and is sent as `-CODE text`. Texts are bytes because they
may quote input of the client. They are identical to Redis 7.2's: clients and tests match on them.
"""

from typing import Final


class ReplyError(Exception):
    """An error reply. `text` starts with its code, for example `b"ERR syntax error"`."""

    def __init__(self, text: bytes) -> None:
        super().__init__(text)
        self.text = text
        self.line_ends = False  # True if line breaks in the text are sent unchanged, as in Redis
        self.counted = False  # True if already counted: the error of a command that a script passes on
        self.redirects = False  # True if another node of a cluster must be asked, or none can answer: for EXEC


WRONGTYPE: Final = b"WRONGTYPE Operation against a key holding the wrong kind of value"
SYNTAX: Final = b"ERR syntax error"
NO_SUCH_KEY: Final = b"ERR no such key"
NOT_AN_INTEGER: Final = b"ERR value is not an integer or out of range"
NOT_A_FLOAT: Final = b"ERR value is not a valid float"
OUT_OF_RANGE: Final = b"ERR index out of range"
SAME_OBJECT: Final = b"ERR source and destination objects are the same"
NOAUTH: Final = b"NOAUTH Authentication required."
OOM: Final = b"OOM command not allowed when used memory > 'maxmemory'."
NOREPLICAS: Final = b"NOREPLICAS Not enough good replicas to write."
NOSCRIPT: Final = b"NOSCRIPT No matching script. Please use EVAL."
LOADING: Final = b"LOADING Redis is loading the dataset in memory"
READONLY: Final = b"READONLY You can't write against a read only replica."
EXECABORT: Final = b"EXECABORT Transaction discarded because of previous errors."
BUSY_KEY: Final = b"BUSYKEY Target key name already exists."
STRING_TOO_LONG: Final = b"ERR string exceeds maximum allowed size (proto-max-bulk-len)"


def redirection(text: bytes) -> ReplyError:
    """Return the error for a command that must not run at this node of a cluster."""
    error = ReplyError(text)
    error.redirects = True
    return error


def c_text(data: bytes) -> bytes:
    """Return a string up to the first NUL, as C sees it: messages quote arguments this way."""
    return data if b"\0" not in data else data[: data.index(b"\0")]


def subcommand_syntax(argv: list[bytes]) -> ReplyError:
    """Return the error for an unknown subcommand or a wrong number of arguments."""
    return ReplyError(
        b"ERR unknown subcommand or wrong number of arguments for '%b'. Try %b HELP."
        % (c_text(argv[1])[:128], argv[0].upper())
    )


def wrong_arity(name: bytes) -> ReplyError:
    """Return the arity error; `name` is the command's full lowercase name (`config|get` for a subcommand)."""
    return ReplyError(b"ERR wrong number of arguments for '%b' command" % name)


PROTECTED_MODE: Final = (
    b"DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the "
    b"default user. In this mode connections are only accepted from the loopback interface. If you want to connect "
    b"from external computers to Redis you may adopt one of the following solutions: 1) Just disable protected mode "
    b"sending the command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis from the "
    b"same host the server is running, however MAKE SURE Redis is not publicly accessible from internet if you do "
    b"so. Use CONFIG REWRITE to make this change permanent. 2) Alternatively you can just disable the protected mode "
    b"by editing the Redis configuration file, and setting the protected mode option to 'no', and then restarting "
    b"the server. 3) If you started the server manually just for testing, restart it with the '--protected-mode no' "
    b"option. 4) Set up an authentication password for the default user. NOTE: You only need to do one of the above "
    b"things in order for the server to start accepting connections from the outside."
)

_SHARED: Final = frozenset((SYNTAX, NO_SUCH_KEY, SAME_OBJECT, OUT_OF_RANGE))


def as_logged(error: ReplyError) -> str:
    """Return an error as Redis logs it: as on the wire, but without an `-ERR ` that Redis added itself."""
    text = error.text
    if text.startswith(b"ERR ") and text not in _SHARED:
        return text[4:].decode(errors="replace")
    return "-" + text.decode(errors="replace")
