"""Error replies: every text that more than one place sends stands here once.

A `ReplyError` is raised by a handler or a gate and ends as `-CODE text` on the wire. Texts are bytes because they
may quote what the client sent. They are Redis 7.2's to the byte: clients and tests match on them.
"""


class ReplyError(Exception):
    """An error reply. `text` starts with its code, for example `b"ERR syntax error"`."""

    counted = False  # True where the statistics have it already: an error of a command that a script passes on

    def __init__(self, text: bytes) -> None:
        super().__init__(text)
        self.text = text


WRONGTYPE = b"WRONGTYPE Operation against a key holding the wrong kind of value"
SYNTAX = b"ERR syntax error"
NO_SUCH_KEY = b"ERR no such key"
NOT_AN_INTEGER = b"ERR value is not an integer or out of range"
NOT_A_FLOAT = b"ERR value is not a valid float"
OUT_OF_RANGE = b"ERR index out of range"
SAME_OBJECT = b"ERR source and destination objects are the same"
NOAUTH = b"NOAUTH Authentication required."
OOM = b"OOM command not allowed when used memory > 'maxmemory'."
NOSCRIPT = b"NOSCRIPT No matching script. Please use EVAL."
LOADING = b"LOADING Redis is loading the dataset in memory"
READONLY = b"READONLY You can't write against a read only replica."
EXECABORT = b"EXECABORT Transaction discarded because of previous errors."
BUSY_KEY = b"BUSYKEY Target key name already exists."
STRING_TOO_LONG = b"ERR string exceeds maximum allowed size (proto-max-bulk-len)"


def wrong_arity(name: bytes) -> ReplyError:
    """The arity error; `name` is the command's full lower-case name (`config|get` for a subcommand)."""
    return ReplyError(b"ERR wrong number of arguments for '%b' command" % name)
