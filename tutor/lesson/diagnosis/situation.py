"""What is known of the session: a transaction, a subscription, a server that is a replica, data that is gone.

All of it follows from what was typed and answered, from the prompts, and from looks at the server.
"""

from collections.abc import Mapping, Sequence

from engine.protocol.errors import ReplyError
from engine.table.declarations import WRITE
from tutor.lesson import typed
from tutor.lesson.checks import Attempt, Inspection
from tutor.lesson.diagnosis.goal import Goal, keys_of, name_of
from tutor.lesson.diagnosis.model import Diagnosis, Place, code
from tutor.prompt import to_text
from tutor.prompt.words import to_bytes

TX = "(TX)"
SUBSCRIBED = "(subscribed mode)"


def words_of(attempt: Attempt) -> list[str]:
    """Return an attempt's words as text."""
    return [to_text(each) for each in attempt.argv]


def poisoned(attempts: Sequence[Attempt], terminal: str) -> str:
    """Return the command that was refused since `MULTI` in a terminal, so that `EXEC` will run nothing."""
    refused = ""
    for each in attempts:
        if each.terminal != terminal or not each.argv:
            continue
        name = each.argv[0].lower()
        if (name == b"multi" and not each.failed) or name in (b"exec", b"discard", b"reset"):
            refused = ""
        elif each.failed:
            refused = refused or to_text(each.argv[0])
    return refused


def queued(goal: Goal, last: Attempt, prompts: Mapping[str, str], place: Place) -> Diagnosis | None:
    """Return what to say about a command that was queued, not run, or that ran outside of the transaction."""
    words = words_of(last)
    if last.printed.strip() == "QUEUED" and "MULTI" not in goal.names and "EXEC" not in goal.names:
        return Diagnosis(
            "state",
            "transaction",
            "`QUEUED`: a transaction is open in this terminal, so nothing has run yet. `EXEC` runs it.",
        )
    if (
        "MULTI" in goal.names
        and last.printed.strip() != "QUEUED"
        and words[0].upper() not in ("MULTI", "EXEC", "DISCARD")
    ):
        elsewhere = [name for name, prompt in prompts.items() if name != place.terminal and TX in prompt]
        here = TX in prompts.get(place.terminal, "")
        if not elsewhere and not here and _as_wanted(goal, words):
            return Diagnosis(
                "state",
                "transaction",
                "This command ran immediately: no transaction is open in this terminal, but the task asks for one.",
            )
        if elsewhere and not here and set(keys_of(words)) & set(goal.keys) and name_of(words) in goal.names:
            return Diagnosis(
                "state", "terminal",
                f"The transaction is open in the terminal {code(elsewhere[0])}; "
f"this command ran immediately, in {code(place.terminal)}.",
            )  # fmt: skip
    return None


def _as_wanted(goal: Goal, words: Sequence[str]) -> bool:
    """Return whether a command is one of those that the task wants in its transaction."""
    names = [each.name for each in goal.lines]
    if names.count("MULTI") != 1 or "EXEC" not in names:
        return False
    inside = goal.lines[names.index("MULTI") + 1 : names.index("EXEC")]
    return any(list(words[1:]) == list(each.words[1:]) and name_of(words) == each.name for each in inside)


def waiting_transaction(
    goal: Goal, attempts: Sequence[Attempt], place: Place, prompts: Mapping[str, str]
) -> Diagnosis | None:
    """Return what to say when a transaction is open, to a learner who asks."""
    if TX not in prompts.get(place.terminal, ""):
        return None
    if refused := poisoned(attempts, place.terminal):
        return Diagnosis(
            "state", "transaction",
            f"The transaction cannot run anymore, because {code(refused)} "
"was rejected when it was queued: `DISCARD` it and begin again.",
            near=False,
        )  # fmt: skip
    return Diagnosis(
        "state",
        "transaction",
        "A transaction is open in this terminal: commands are queued until `EXEC`.",
        near=False,
    )


def subscribed(last: Attempt, prompts: Mapping[str, str], place: Place) -> Diagnosis | None:
    """Return what to say about a command in a terminal that is subscribed."""
    if last.failed and "Can't execute" in last.printed and "context" in last.printed:
        return Diagnosis(
            "state", "subscription",
            f"The terminal {code(place.terminal)} is subscribed, and accepts no other commands until it unsubscribes"
            + (": use another terminal." if len(place.terminals) > 1 else "."),
        )  # fmt: skip
    return None


_REMOVING = frozenset(("DEL", "UNLINK", "GETDEL", "RENAME", "MOVE"))


_NOTHING = ("(nil)", "(integer) 0", "(empty array)")


def destroyed(goal: Goal, last: Attempt, needed: Sequence[str], inspect: Inspection) -> Diagnosis | None:
    """Return what to say when a command has just removed a key that the task builds on."""
    words, db = words_of(last), last.db
    name = name_of(words)
    if last.printed.strip() == "QUEUED":
        return None
    if name in ("FLUSHALL", "FLUSHDB"):
        if name in goal.names or not needed:
            return None
        if name == "FLUSHDB" and db != 0:
            return None
        if inspect([b"EXISTS", needed[0].encode("utf-8", "surrogateescape")], 0) == 0:
            return Diagnosis(
                "state",
                "data",
                f"All keys are deleted, also {code(needed[0])}, which the task needs. Undo (`:undo`) restores them.",
            )
        return None
    removes = name in _REMOVING or (
        name not in goal.names and bool(typed.reach([to_bytes(each) for each in words])[0] & WRITE)
    )
    if name not in _REMOVING and last.printed.strip() not in _NOTHING:
        needed = goal.keys
    if removes and not _REMOVING & set(goal.names):
        made = {key for each in goal.lines if each.name in ("SET", "MSET", "SETEX") for key in keys_of(each.words)}
        for key in keys_of(words)[: 1 if name == "RENAME" else None]:
            if key in made:  # to begin with an empty place is no loss
                continue
            if key in needed and inspect([b"EXISTS", key.encode("utf-8", "surrogateescape")], db) == 0:
                if any(each == "missing" for each in goal.absent(key)):
                    continue
                return Diagnosis(
                    "state", "data", f"{code(key)} was deleted, but the task needs it. Undo (`:undo`) restores it."
                )
    return None


def role(words: Sequence[str], printed: str, place: Place, inspect: Inspection) -> Diagnosis | None:
    """Return what to say about a write that a replica refused."""
    if "READONLY" not in printed:
        return None
    reply = inspect([b"ROLE"], 0)
    master = ""
    if (
        not isinstance(reply, ReplyError)
        and isinstance(reply, (list, tuple))
        and len(reply) > 2
        and bytes(reply[0]) == b"slave"
    ):
        master = to_text(bytes(reply[1]))
    where = f" Write to its master, {code(master)}." if master else " Write to its master."
    return Diagnosis(
        "state",
        "role",
        f"The server of the terminal {code(place.terminal)} is a replica, and replicas are read-only.{where}",
    )
