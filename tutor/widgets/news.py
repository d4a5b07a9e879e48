"""How news from a lesson's controller reaches the widgets that show it.

A widget marks a method with `@shows(m.KeysShown)`, and gets that kind of news from then on. The screen finds all such
methods once (`Audience`) and passes news on, one after the other: the next news waits until this one is shown.
"""

import inspect
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, TypeVar

from textual.dom import DOMNode
from textual.widget import Widget

from tutor.lesson import messages as m

Method = TypeVar("Method", bound=Callable[..., object])


def shows(*kinds: type[m.News]) -> Callable[[Method], Method]:
    """Mark a method of a widget as the one that shows these kinds of news."""

    def mark(method: Method) -> Method:
        vars(method)["shows"] = kinds
        return method

    return mark


@cache
def _marked(widget: type[DOMNode]) -> tuple[tuple[str, type[m.News]], ...]:
    def found() -> Iterator[tuple[str, type[m.News]]]:
        for name in dict.fromkeys(name for base in widget.__mro__ for name in vars(base)):
            for kind in getattr(inspect.getattr_static(widget, name), "shows", ()):
                yield name, kind

    return tuple(found())


class Audience:
    """The widgets of a screen that show news: a parent before its children, in the order of the layout."""

    def __init__(self, screen: DOMNode) -> None:
        self._methods: dict[type[m.News], list[Callable[[Any], object]]] = {}
        for widget in (screen, *screen.walk_children(Widget)):
            for name, kind in _marked(type(widget)):
                self._methods.setdefault(kind, []).append(getattr(widget, name))

    async def show(self, news: m.News) -> None:
        """Have news shown by each widget that shows its kind."""
        for method in self._methods.get(type(news), ()):
            done = method(news)
            if inspect.isawaitable(done):
                await done
