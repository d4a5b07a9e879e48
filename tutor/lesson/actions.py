"""What a learner can do in a lesson besides typing commands: one table for all front ends.

A front end takes an action's key and its word (`:hint`, `:undo` …) from here, and its line of help. What an action
does is the controller's business (`Controller.act`), or the front end's for those that open or close something.
"""

import difflib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tutor.prompt.words import LINE, shorten


class Action(NamedTuple):
    """An action. An empty `key` or `help` means that it has none, or no line of its own in the help of prompts."""

    name: str  # as `Controller.act` knows it
    key: str = ""
    label: str = ""  # in the bar of keys
    help: str = ""  # at a prompt's completion and in the help of the full screen
    plain: str = ""  # in the plain mode, where it differs
    title: str = ""  # in the palette
    about: str = ""
    front_end: bool = False  # done by the front end
    takes: str = ""  # what is typed after the word
    place: str = ""  # where it is offered: `lesson`, `sandbox`, `connected` to a real server; empty: everywhere

    def is_in(self, place: str) -> bool:
        """Return whether it is offered in a place."""
        return not self.place or place in self.place.split()

    @property
    def word(self) -> str:
        """What is typed at the prompt."""
        return f":{self.name}"


ACTIONS = (
    Action("hint", "f2", "hint", "a hint, a clearer one each time", title="Hint",
           about="A hint, a clearer one each time", place="lesson"),
    Action("show", "f3", "show me", "type the solution for me", title="Show me", about="Type the solution for me",
           place="lesson"),
    Action("run", "f7", "run", "run the next example of the text", "run the next example", front_end=True),
    Action("undo", "f4", "undo", "take the last command back", title="Undo", about="Take the last command back",
           place="lesson sandbox"),
    Action("reset", "f5", "reset step", "start this step again (:reset lesson for all of it)", title="Reset step",
           about="Start this step again", place="lesson sandbox"),
    Action("next", "f8", "next", "the next step", title="Next step", about="Go on", place="lesson"),
    Action("back", "f9", "back", "the step before", title="Step before", about="Go back", place="lesson"),
    Action("edit", "ctrl+x", "editor", "open the editor: a Lua script, a function library, or commands line by line",
           "write a script of several lines; a lone . ends and runs it (:edit N replaces line N)", "Editor",
           "Write and run a script, a function library or a transaction", front_end=True, takes="N",
           place="lesson sandbox"),
    Action("again", plain="read the step again", front_end=True),
    Action("why", help="explain the last error"),
    Action("picture", help="draw a key, or memory, persistence, replication … (:picture alone: what you type about)",
           plain="draw what the last command was about (:picture KEY another key)", takes="KEY"),
    Action("data", help="load a data set: :data alone lists them", takes="NAME", place="sandbox"),
    Action("load", help="open your own dump or append-only file; the file is only read", takes="FILE",
           place="sandbox"),
    Action("connect", help="look at a real server, read-only: HOST:PORT or redis://user:password@host:port",
           takes="URL", place="sandbox connected", front_end=True),
    Action("bookmark", help="bookmark this step; a note is optional (:bookmark off removes it)", takes="NOTE",
           title="Bookmark", about="Bookmark this step", place="lesson"),
    Action("bookmarks", help="your bookmarks: go to one, or remove it",
           plain="list your bookmarks (:bookmarks N goes to one, :bookmarks remove N removes it)", takes="N",
           title="Bookmarks", about="Go to a bookmark, or remove one", front_end=True, place="lesson"),
    Action("export", help="save what you typed: FILE.sh types it again, FILE.md shows it, FILE.cast plays it",
           takes="FILE", place="lesson sandbox"),
    Action("lab", "f12", "laboratory", "see your servers, or the step's scenario, in the laboratory",
           "tell the step's scenario in the laboratory (:lab NAME another one)", "In the laboratory",
           "See your servers, or the step's scenario", front_end=True, place="lesson"),
    Action("terminal", plain="type in another terminal", front_end=True),
    Action("help", help="what can be typed here", front_end=True),
    Action("map", help="back to the map of the course", title="Map", about="Back to the map of the course",
           front_end=True),
    Action("quit", plain="leave; you come back where you were", front_end=True),
)  # fmt: skip
RESET_LESSON = Action("reset_lesson", title="Reset lesson", about="Start this lesson again", place="lesson sandbox")
BY_NAME = {action.name: action for action in ACTIONS}
RESET_SANDBOX = "start afresh: empty the server and forget what was typed"


def parse(line: str) -> tuple[Action | None, str]:
    """Return the action that is typed behind a colon, with its argument; None if there is none of this name."""
    word, _, argument = line.partition(" ")
    argument = " ".join(argument.split())
    if (word.lower(), argument) == ("reset", "lesson"):
        return RESET_LESSON, ""
    return BY_NAME.get(word.lower()), argument


def offered(place: str, plain: bool = False) -> list[Action]:
    """Return the actions of a place (`lesson`, `sandbox`, `connected`) that have a line of help."""
    here = [action for action in ACTIONS if action.is_in(place) and (action.help or (plain and action.plain))]
    return [action for action in here if not (plain and action.name in ("help", "map"))]


def help_line(action: Action, place: str, plain: bool = False) -> str:
    """Return an action's line of help."""
    if action.name == "reset" and place == "sandbox":
        return RESET_SANDBOX
    return (plain and action.plain) or action.help


def completions(place: str = "lesson", data: Iterable[str] = ()) -> dict[str, str]:
    """Return what can be typed at the prompt of the full screen besides Redis commands, with its meaning."""
    own = {"help": "about commands and groups", "clear": "clear the screen"}
    own |= {action.word: help_line(action, place) for action in offered(place)}
    return own | {f":data {name}": "load this data set" for name in data}


_OF_THE_LABORATORY = frozenset(
    ("cut", "heal", "slow", "pause", "continue", "crash", "kill", "plug", "stop", "start", "wait", "clock", "rewind")
)


def unknown(line: str, place: str = "lesson", plain: bool = False) -> str:
    """Return what is said of a word behind a colon that does nothing here; names the one that is nearly the same."""
    word = line.split()[0].lower() if line.strip() else ""
    known = [action.name for action in offered(place, plain)]
    if word in _OF_THE_LABORATORY and place == "lesson":
        how = "the laboratory of the full screen does that (F12 there)" if plain else "the laboratory does that: F12"
        return f"“:{word}” is not a command here; {how}."
    near = difflib.get_close_matches(word[:LINE], known, 1, 0.6)
    meant = f" Did you mean :{near[0]}?" if near else ""
    return f"“:{shorten(word)}” is not a command here.{meant} :help lists the commands."


def terminals_are(names: Sequence[str], current: str) -> str:
    """Return what is said where a terminal is asked for that does not exist."""
    return f"The terminals are: {', '.join(names)}. You are in {current}."


def plain_help(place: str = "lesson") -> list[str]:
    """Return the help of the plain mode, a line for each action."""
    rows = []
    for action in offered(place, plain=True):
        word = f"{action.word} NAME" if action.name == "terminal" else action.word
        if action.takes and "sandbox" in action.place:
            word = f"{action.word} {action.takes}"
        text = help_line(action, place, plain=True)
        rows.append(f"{word:<8} {text}" if len(word) < 9 else f"{word}   {text}")
    return rows
