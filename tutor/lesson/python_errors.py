"""What the exceptions mean that a program with redis-py ends with."""

import re

MEANINGS = {
    "ConnectionError": "No connection could be made, or it was lost: the server does not run, or is at another "
    "address. Whether the server ran the last command is not known.",
    "TimeoutError": "The reply did not come within `socket_timeout`. The server may run the command all the same: a "
    "timeout says how long the client waited, not what happened.",
    "MaxConnectionsError": "Every connection of the pool is in use, and it may open no more (`max_connections`).",
    "AuthenticationError": "The server wants a password, or another one: `redis.Redis(password=…)`.",
    "ResponseError": "The server answered with an error.",
    "DataError": "redis-py sends bytes, text and numbers. Convert other values yourself: `str(…)`, `json.dumps(…)`.",
    "WatchError": "A key that was watched has changed, so the transaction did not run. Read again, and retry.",
    "ExecAbortError": "A command of the transaction was wrong when it was queued, so none of them ran.",
    "ReadOnlyError": "This server is a replica: writes go to its master.",
    "BusyLoadingError": "The server is loading its data, and serves no commands yet.",
    "MasterNotFoundError": "None of the Sentinels that were asked knows a master of this name.",
    "SlaveNotFoundError": "The Sentinels know no replica that is up.",
    "KeyboardInterrupt": "You interrupted the program. What it had sent by then has been done.",
    "NameError": "Python knows no such name here. Names are gone after Python was started again: type the line that "
    "makes it once more.",
    "AttributeError": "There is no such method or attribute. redis-py's methods have the names of the commands, in "
    "lower case: `r.incr(…)`. Tab completes them.",
    "TypeError": "The arguments do not fit. `help(…)` shows those of a function; bytes and text do not mix.",
    "SyntaxError": "Python cannot read the line; the mark `^` is near the place.",
    "IndentationError": "The lines of a block begin with the same number of spaces.",
    "ModuleNotFoundError": "Python's own modules and redis can be imported here.",
}
_LAST = re.compile(r"^(?:[A-Za-z_]\w*\.)*([A-Za-z_]\w*)(?:: (.*))?$")


def exception_of(printed: str) -> tuple[str, str]:
    """Return the name and the text of the exception at the end of what a statement printed; empty without one."""
    rows = printed.rstrip().splitlines()
    found = next((match for row in reversed(rows) if (match := _LAST.match(row)) and match[1] in MEANINGS), None)
    return (found[1], found[2] or "") if found is not None else ("", "")


def explained(printed: str) -> str:
    """Return what the exception means, or nothing."""
    return MEANINGS.get(exception_of(printed)[0], "")
