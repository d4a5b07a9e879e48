"""What a learner can do in a lesson besides typing commands: one table for all front ends.

A front end takes an action's key and its word (`:hint`, `:undo` …) from here, and its line of help. What an action
does is the controller's business (`Controller.act`), or the front end's for those that open or close something.
"""

from typing import NamedTuple


class Action(NamedTuple):
    """An action. An empty `key` or `told` means that it has none, or no line of its own in the help of prompts."""

    name: str  # as `Controller.act` knows it
    key: str = ""
    label: str = ""  # in the bar of keys
    told: str = ""  # at a prompt's completion and in the help of the full screen
    plain: str = ""  # in the plain mode, where it is told otherwise
    title: str = ""  # in the palette
    about: str = ""
    front_end: bool = False  # done by the front end

    @property
    def word(self) -> str:
        """What is typed at the prompt."""
        return f":{self.name}"


ACTIONS = (
    Action("hint", "f2", "hint", "a hint, a clearer one each time", title="Hint",
           about="A hint, a clearer one each time"),
    Action("show", "f3", "show me", "type the solution for me", title="Show me", about="Type the solution for me"),
    Action("run", "f7", "run", "run the next example of the text", "run the next example", front_end=True),
    Action("undo", "f4", "undo", "take the last command back", title="Undo", about="Take the last command back"),
    Action("reset", "f5", "reset step", "start this step again (:reset lesson for all of it)", title="Reset step",
           about="Start this step again"),
    Action("next", "f8", "next", "the next step", title="Next step", about="Go on"),
    Action("back", "f9", "back", "the step before", title="Step before", about="Go back"),
    Action("again", plain="read the step again", front_end=True),
    Action("why", told="explain the last error"),
    Action("picture", told="draw a key, or memory, persistence, replication … (:picture alone: what you type about)",
           plain="draw what the last command was about (:picture KEY another key)"),
    Action("lab", "f12", "laboratory", "see your servers, or the step's scenario, in the laboratory",
           "tell the step's scenario in the laboratory (:lab NAME another one)", "In the laboratory",
           "See your servers, or the step's scenario", front_end=True),
    Action("terminal", plain="type in another terminal", front_end=True),
    Action("help", told="what can be typed here", front_end=True),
    Action("map", told="back to the map of the course", title="Map", about="Back to the map of the course",
           front_end=True),
    Action("quit", plain="leave; you come back where you were", front_end=True),
)  # fmt: skip
BY_NAME = {action.name: action for action in ACTIONS}
FULL_SCREEN = tuple(action for action in ACTIONS if action.told)
PLAIN = tuple(action for action in ACTIONS if (action.plain or action.told) and action.name not in ("help", "map"))


def completions() -> dict[str, str]:
    """Return what can be typed at the prompt of the full screen besides Redis commands, with its meaning."""
    own = {"help": "about commands and groups", "clear": "clear the screen"}
    return own | {action.word: action.told for action in FULL_SCREEN}


def plain_help() -> list[str]:
    """Return the help of the plain mode, a line for each action."""
    rows = []
    for action in PLAIN:
        word = f"{action.word} NAME" if action.name == "terminal" else action.word
        rows.append(f"{word:<8} {action.plain or action.told}" if len(word) < 9 else f"{word}   {action.plain}")
    return rows
