"""Settings: the theme, the symbols and the keys. Every choice holds at once and is kept."""

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from tutor.screens.base import Program, TutorDialog
from tutor.widgets.keybar import key_name

AUTOMATIC = "automatic"
SYMBOLS = {"": "what the terminal shows", "unicode": "all", "ascii": "ASCII only"}


def named_bindings(program: type[Program]) -> list[Binding]:
    """Return the keys that can be changed: every binding with an id, once."""
    from tutor.screens.lesson import LessonScreen
    from tutor.screens.map import MapScreen

    found: dict[str, Binding] = {}
    for owner in (LessonScreen, MapScreen, program):
        for binding in owner.BINDINGS:
            if isinstance(binding, Binding) and binding.id and binding.description:
                found.setdefault(binding.id, binding)
    return list(found.values())


class SettingsScreen(TutorDialog[None]):
    """Theme left, keys right."""

    BINDINGS: ClassVar = [
        Binding("escape,q", "close", "close"),
        Binding("delete", "standard", "restore the standard key", show=False),
    ]
    DEFAULT_CSS = """
    SettingsScreen { align: center middle; background: $background 60%; }
    SettingsScreen #settings { width: 76; max-width: 96%; height: 22; max-height: 94%; background: $surface;
        border: round $primary; border-title-color: $text-primary; border-title-style: bold;
        border-subtitle-color: $muted; padding: 1 2 0 2; }
    SettingsScreen OptionList, SettingsScreen OptionList:focus { background: $surface; border: none; height: 1fr;
        padding: 0; scrollbar-size-vertical: 1; }
    SettingsScreen OptionList > .option-list--option-highlighted { background: $panel; color: $foreground; }
    SettingsScreen OptionList:focus > .option-list--option-highlighted { background: $primary; color: $background; }
    SettingsScreen #themes, SettingsScreen #symbols { width: 28; margin: 0 2 0 0; }
    SettingsScreen #symbols, SettingsScreen #symbols:focus { height: 3; margin: 0 2 1 0; }
    SettingsScreen #keys-list { width: 1fr; }
    SettingsScreen .title { height: 1; text-style: bold; color: $text-primary; }
    SettingsScreen Vertical { width: auto; }
    SettingsScreen #right-half { width: 1fr; }
    SettingsScreen #left-half { width: 30; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._waiting: str | None = None  # id of the binding that gets a new key

    def compose(self) -> ComposeResult:
        """Lay out both lists."""
        with Horizontal(id="settings") as box:
            box.border_title = "Settings"
            box.border_subtitle = "⏎ choose   Del standard key   Esc close"
            with Vertical(id="left-half"):
                yield Static("Theme", classes="title")
                yield OptionList(id="themes", markup=False)
                yield Static("Symbols", classes="title")
                yield OptionList(id="symbols", markup=False)
            with Vertical(id="right-half"):
                yield Static("Keys", classes="title", id="keys-title")
                yield OptionList(id="keys-list", markup=False)

    def on_mount(self) -> None:
        """Fill the lists."""
        themes = self.query_one("#themes", OptionList)
        names = sorted(self.app.available_themes, key=lambda name: (not name.startswith("redis"), name))
        themes.add_options(Option(("● " if name == self.app.theme else "  ") + name, id=name) for name in names)
        themes.highlighted = names.index(self.app.theme)
        themes.focus()
        self._show_symbols()
        self._show_keys()

    def _show_symbols(self) -> None:
        symbols = self.query_one("#symbols", OptionList)
        symbols.clear_options()
        for name, title in SYMBOLS.items():
            sign = "● " if name == self.app.preferences.symbols else "  "
            symbols.add_option(Option(sign + title, id=name or AUTOMATIC))
        symbols.highlighted = list(SYMBOLS).index(self.app.preferences.symbols)

    def _show_keys(self) -> None:
        keys = self.query_one("#keys-list", OptionList)
        at = keys.highlighted
        keys.clear_options()
        chosen = self.app.preferences.keys
        for binding in named_bindings(type(self.app)):
            key = chosen.get(binding.id or "", binding.key)
            name = "press a key …" if self._waiting == binding.id else " ".join(key_name(k) for k in key.split(","))
            text = f"{binding.description} ({(binding.id or '').partition('.')[0]})"
            star = " *" if binding.id in chosen else ""
            keys.add_option(Option(Content.assemble(text.ljust(24), (name + star, "bold")), id=binding.id))
        keys.highlighted = at or 0

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Show a theme while the bar is on it."""
        if event.option_list.id == "themes" and event.option_id and event.option_list.has_focus:
            self.app.theme = event.option_id

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Take a theme, or wait for a key."""
        if event.option_list.id == "themes" and event.option_id:
            self.app.theme = event.option_id
            for at in range(event.option_list.option_count):
                option = event.option_list.get_option_at_index(at)
                sign = "● " if option.id == event.option_id else "  "
                event.option_list.replace_option_prompt_at_index(at, sign + (option.id or ""))
        elif event.option_list.id == "symbols" and event.option_id:
            self.app.preferences.symbols = event.option_id.removeprefix(AUTOMATIC)
            self.app.preferences.save()
            self.app.choose_symbols()
            self._show_symbols()
            self.app.refresh_css(animate=False)
        elif event.option_id:
            self._waiting = event.option_id
            self._show_keys()
            self.set_focus(None)

    def on_key(self, event: events.Key) -> None:
        """Take the key that was waited for."""
        if self._waiting is None:
            return
        event.stop()
        event.prevent_default()
        if event.key != "escape":
            self.app.preferences.keys[self._waiting] = event.key
            self._keep()
        self._waiting = None
        self._show_keys()
        self.query_one("#keys-list").focus()

    def action_standard(self) -> None:
        """Give a binding its own key again."""
        keys = self.query_one("#keys-list", OptionList)
        if keys.has_focus and keys.highlighted is not None:
            self.app.preferences.keys.pop(keys.get_option_at_index(keys.highlighted).id or "", None)
            self._keep()
            self._show_keys()

    def _keep(self) -> None:
        self.app.preferences.save()
        self.app.set_keymap(self.app.preferences.keys)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While a key is waited for, none has another meaning."""
        return self._waiting is None

    def action_close(self) -> None:
        """Close."""
        self.dismiss(None)
