"""What helps with typing in the laboratory: completion and hints for actions, and for commands at a node.

Actions follow their usage line (`tutor.lab.actions.USAGE`); commands are completed as at every prompt of the program,
with the names of the node's own keys.
"""

import re
from functools import cache

from engine.simulation.state import data_of
from engine.simulation.world import World
from tutor.lab.actions import NAMES, USAGE
from tutor.lab.controls import SCREEN_USAGE
from tutor.lab.programs import ALL_KINDS
from tutor.prompt import CommandDocs, CompletionContext, complete, inline_hint

_CHOICES = re.compile(r"\[([^\]]+)\]|(\S+)")


@cache
def _commands() -> CommandDocs:
    return CommandDocs.load()


def split(text: str, talking: str) -> tuple[str, str, str]:
    """Return what stands before a command, whose command it is, and the command; "" and the action for an action."""
    if talking and not text.startswith(":"):
        return "", talking, text
    name, prompt, command = text.partition(">")
    if prompt and name.strip() and " " not in name.strip():
        spaces = len(command) - len(command.lstrip())
        return text[: len(name) + 1 + spaces], name.strip(" :"), command[spaces:]
    return "", "", text


def hint(text: str, talking: str) -> str:
    """Return what is still to come of a line, as its syntax says; "" where nothing is known."""
    _, who, rest = split(text, talking)
    if who:
        return inline_hint(rest, _commands()).strip()
    words = rest.removeprefix(":").split()
    usage = USAGE.get(words[0]) or SCREEN_USAGE.get(words[0]) if words else None
    if usage is None:
        return ""
    wanted = [match[0] for match in _CHOICES.finditer(usage)]
    return " ".join(wanted[len(words) :])


def completions(text: str, talking: str, world: World, clients: dict[str, str]) -> list[str]:
    """Return whole lines that a line may become."""
    before, who, rest = split(text, talking)
    if who:
        node = clients.get(who, who)

        def keys(prefix: bytes, limit: int) -> list[bytes]:
            known = data_of(world, node) if node in world.hosts else {}
            return sorted(key for key in known if key.startswith(prefix))[:limit]

        offers = complete(rest, len(rest), CompletionContext(_commands(), keys))
        return [before + rest[: each.start] + each.text for each in offers]
    colon = ":" if rest.startswith(":") else ""
    words = rest.removeprefix(":").split(" ")
    done, last = words[:-1], words[-1]
    people = [*world.hosts, *clients]
    if not done:
        choices = [*NAMES, "goto", *SCREEN_USAGE, *(f"{name}>" for name in people)]
    else:
        usage = USAGE.get(done[0]) or SCREEN_USAGE.get(done[0], "")
        wanted = [match[1] or match[2] for match in _CHOICES.finditer(usage)]
        place = wanted[len(done)] if len(done) < len(wanted) else ""
        if "|" in place:
            choices = place.split(" | ")
        else:
            choices = {"NODE": [*world.hosts, *world.applications], "KIND": [*ALL_KINDS]}.get(
                place, people if place in ("A", "B", "NAME", "CLIENT") else []
            )
    return [colon + " ".join([*done, each]) for each in choices if each.startswith(last)]
