"""The help panel: what this screen is for, and every key that works on it."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widgets import Markdown, Static

from tutor.widgets.keybar import key_name

OF_TEXTUAL = ("screen.copy_text", "app.command_palette", "command_palette")  # the last is told in other words


class HelpScreen(ModalScreen[None]):
    """Help over the screen it is about."""

    BINDINGS: ClassVar = [("escape,f1,q,question_mark", "dismiss(None)", "close")]
    DEFAULT_CSS = """
    HelpScreen { align: center middle; background: $background 60%; }
    HelpScreen #help { width: 84; max-width: 96%; height: auto; max-height: 92%; padding: 1 2; background: $surface;
        border: round $primary; border-title-color: $text-primary; border-title-style: bold;
        border-subtitle-color: $muted; scrollbar-size-vertical: 1; }
    HelpScreen Markdown { background: $surface; padding: 0; margin: 0; height: auto; }
    HelpScreen Static { height: auto; }
    """

    def __init__(self, about: Screen[object]) -> None:
        super().__init__()
        self._text = getattr(about, "HELP", "") or ""
        self._title = getattr(about, "HELP_TITLE", "Help")
        self._keys: list[tuple[str, str]] = []
        seen: dict[str, tuple[str, list[str]]] = {}
        for active in about.active_bindings.values():
            binding = active.binding
            ours = active.node in (about, about.app) or binding.show
            if binding.action in OF_TEXTUAL:
                continue
            if ours and binding.description and not binding.key.endswith("tab"):
                told = f"{binding.tooltip}, or {binding.description}" if binding.tooltip else binding.description
                seen.setdefault(binding.action, (told, []))[1].append(binding.key_display or key_name(binding.key))
        self._keys = [(" ".join(dict.fromkeys(keys)), text) for text, keys in seen.values()]
        self._keys.append(("^P", "commands"))
        if isinstance(about.focused, _terminal()):
            self._keys += TERMINAL_KEYS

    def compose(self) -> ComposeResult:
        """Lay out text and keys."""
        with VerticalScroll(id="help") as box:
            box.border_title = self._title
            box.border_subtitle = "Esc closes"
            yield Markdown(self._text)
            wide = max((len(keys) for keys, _ in self._keys), default=0) + 2
            lines = [Content.assemble((keys.ljust(wide), "bold $text-primary"), text) for keys, text in self._keys]
            yield Static(Content("\n").join(lines))


def _terminal() -> type:
    from tutor.widgets.terminal import Terminal

    return Terminal


TERMINAL_KEYS = [
    ("Tab", "complete; again for the next possibility"),
    ("→ End", "take the suggestion from the history"),
    ("↑ ↓", "older and newer commands"),
    ("^R", "search the history"),
    ("^A ^E ^W ^K ^U ^Y", "edit as in a shell"),
    ("^C", "clear the line; stop what runs"),
    ("^L", "clear the terminal"),
    ("^D", "leave the lesson (asks first)"),
    ("PgUp PgDn", "scroll the text"),
    ("⇧PgUp ⇧PgDn", "scroll the terminal"),
    ("^P", "commands"),
]
