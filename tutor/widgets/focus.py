"""Focusing a widget that may not be in sight yet."""

from typing import Any
from weakref import WeakKeyDictionary

from textual.screen import Screen
from textual.widget import Widget

_wanted: WeakKeyDictionary[Screen[Any], Widget] = WeakKeyDictionary()  # what each screen was last asked to focus


def focus_soon(widget: Widget) -> None:
    """Focus a widget, once it is in sight: one that is not takes no focus."""
    screen = widget.screen
    _wanted[screen] = widget
    screen.set_focus(widget, scroll_visible=False)

    def again() -> None:
        if _wanted.get(screen) is widget and screen.focused is not widget:
            screen.set_focus(widget, scroll_visible=False)

    screen.call_after_refresh(again)
