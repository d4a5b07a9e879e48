"""Getting and setting directives by name, all or nothing."""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, NamedTuple

from engine.config.kinds import (
    DENY_LOADING,
    HIDDEN,
    IMMUTABLE,
    MULTI_ARG,
    PROTECTED,
    VOLATILE,
    BadValueError,
    Directive,
)
from engine.errors import LOADING, ReplyError

GLOB = frozenset(b"[*?")
Match = Callable[[bytes, bytes], bool]


class Change(NamedTuple):
    """What a CONFIG SET changed: the directives whose change must be applied, and how to take it all back."""

    names: list[str]  # in the order in which they were set
    old: dict[str, Any]  # by attribute
    warnings: list[str]


class Settings:
    """The directives of a class as attributes of its objects.

    A subclass declares directives as class attributes; they are collected in `DIRECTIVES` and every object gets
    their values as attributes of its own.
    """

    DIRECTIVES: ClassVar[dict[str, Directive[Any]]] = {}
    """By name, in the table's order."""

    NAMES: ClassVar[dict[bytes, Directive[Any]]] = {}
    """By name and by alias, in the table's order; an alias stands after its directive."""

    def __init_subclass__(cls) -> None:
        cls.DIRECTIVES = {}
        cls.NAMES = {}
        for attribute, directive in list(vars(cls).items()):
            if isinstance(directive, Directive):
                cls.DIRECTIVES[directive.name] = directive
                cls.NAMES[directive.name.encode()] = directive
                if directive.alias:
                    cls.NAMES[directive.alias.encode()] = directive
                # Without it in the class, reading the attribute costs what reading any attribute costs.
                delattr(cls, attribute)

    def __init__(self) -> None:
        for directive in self.DIRECTIVES.values():
            setattr(self, directive.attribute, directive.default)

    def value(self, name: str) -> Any:
        """Return a directive's value by the directive's name."""
        return getattr(self, self.DIRECTIVES[name].attribute)

    def show(self, directive: Directive[Any]) -> bytes:
        """Return a directive's value as CONFIG GET shows it."""
        return directive.show(getattr(self, directive.attribute), self)

    def get(self, patterns: Iterable[bytes], match: Match) -> dict[bytes, bytes]:
        """Return what CONFIG GET answers to patterns: names, spelt as asked for, and values.

        `match(pattern, name)` tells whether a name fits a glob-style pattern; it is given both in lower case.
        """
        found: dict[bytes, bytes] = {}
        seen: dict[bytes, None] = {}
        for pattern in patterns:
            lower = pattern.lower()
            if not GLOB & set(pattern):
                directive = self.NAMES.get(lower)
                if directive is not None and lower not in seen:
                    seen[lower] = None
                    found[pattern] = self.show(directive)
                continue
            for name, directive in self.NAMES.items():
                if not directive.flags & HIDDEN and name not in seen and match(lower, name):
                    seen[name] = None
                    found[name] = self.show(directive)
        return found

    def set(
        self, pairs: list[tuple[bytes, bytes]], *, loading: bool = False, allow_protected: bool = False
    ) -> Change:
        """Set directives by CONFIG SET's rules: all of them, or none and an error that names the one at fault.

        What follows from the change is up to the caller; `undo` takes it back.
        """
        directives = self._find(pairs, loading, allow_protected)
        old = {directive.attribute: getattr(self, directive.attribute) for directive, _ in directives}
        change = Change([], old, [])
        for (_, text), (directive, shown) in zip(pairs, directives, strict=True):
            # Several arguments are cut at each space: here nothing can be quoted.
            args = [text]
            if directive.flags & MULTI_ARG:
                args = text.split(b" ") if text else []
            try:
                value = directive.read(args, self)
            except BadValueError as refused:
                self.undo(change)
                raise _failed(shown, refused.text) from None
            if value != getattr(self, directive.attribute) or directive.flags & VOLATILE:
                change.names.append(directive.name)
            setattr(self, directive.attribute, value)
            warning = directive.warning(value)
            if warning:
                change.warnings.append(warning)
        return change

    def undo(self, change: Change) -> None:
        """Take a change back."""
        for attribute, value in change.old.items():
            setattr(self, attribute, value)

    def _find(
        self, pairs: list[tuple[bytes, bytes]], loading: bool, allow_protected: bool
    ) -> list[tuple[Directive[Any], bytes]]:
        """Return the directives that pairs name, each with the name or alias used; raises for the first bad one."""
        found: list[tuple[Directive[Any], bytes]] = []
        seen: dict[bytes, None] = {}
        for name, _ in pairs:
            lower = name.lower()
            directive = self.NAMES.get(lower)
            if directive is None:
                raise ReplyError(b"ERR Unknown option or number of arguments for CONFIG SET - '%b'" % name)
            if directive.flags & IMMUTABLE:
                raise _failed(name, b"can't set immutable config")
            if directive.flags & PROTECTED and not allow_protected:
                raise _failed(name, b"can't set protected config")
            if directive.flags & DENY_LOADING and loading:
                raise ReplyError(LOADING)
            if lower in seen:
                raise _failed(name, b"duplicate parameter")
            seen[lower] = None
            found.append((directive, lower))
        return found


def _failed(name: bytes, why: bytes) -> ReplyError:
    return ReplyError(b"ERR CONFIG SET failed (possibly related to argument '%b') - %b" % (name, why))


def failed(name: str, why: str) -> ReplyError:
    """Return the error of a change that could not be applied: the directive at fault and the reason."""
    return _failed(name.encode(), why.encode("utf-8", "surrogateescape"))
