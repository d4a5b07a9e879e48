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
from engine.protocol.errors import LOADING, ReplyError, c_text

GLOB = frozenset(b"[*?")
Match = Callable[[bytes, bytes], bool]
OldValues = dict[str, Any]  # of changed directives, by attribute


class ConfigChange(NamedTuple):
    """The result of CONFIG SET: the directives whose change must be applied, and the old values for `undo`."""

    names: list[str]  # in the order in which they were set
    old: OldValues
    warnings: list[str]


class Settings:
    """Directives of a class, as attributes of its objects.

    A subclass declares directives as class attributes; they are collected in `DIRECTIVES`, and every object has
    their values as its attributes.
    """

    DIRECTIVES: ClassVar[dict[str, Directive[Any]]] = {}
    """By name, in the table's order."""

    NAMES: ClassVar[dict[bytes, Directive[Any]]] = {}
    """By name and by alias, in the table's order; an alias follows its directive."""

    def __init_subclass__(cls) -> None:
        cls.DIRECTIVES = {}
        cls.NAMES = {}
        for attribute, directive in list(vars(cls).items()):
            if isinstance(directive, Directive):
                cls.DIRECTIVES[directive.name] = directive
                cls.NAMES[directive.name.encode()] = directive
                if directive.alias:
                    cls.NAMES[directive.alias.encode()] = directive
                # Removed from the class: reading an object's attribute is then as fast as any other attribute.
                delattr(cls, attribute)

    def __init__(self) -> None:
        for directive in self.DIRECTIVES.values():
            setattr(self, directive.attribute, directive.default)

    def value(self, name: str) -> Any:
        """Return the value of a directive by its name."""
        return getattr(self, self.DIRECTIVES[name].attribute)

    def show(self, directive: Directive[Any]) -> bytes:
        """Return a directive's value in the format of CONFIG GET."""
        return directive.show(getattr(self, directive.attribute), self)

    def get(self, patterns: Iterable[bytes], match: Match) -> dict[bytes, bytes]:
        """Return CONFIG GET's result for patterns: names, spelled as in the request, and values.

        `match(pattern, name)` returns whether a name matches a glob-style pattern; both are in lowercase.
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
    ) -> ConfigChange:
        """Set directives by the rules of CONFIG SET: either all of them, or none and an error that names the invalid
        one.

        The caller applies the change; `undo` reverts it.
        """
        directives = self._find(pairs, loading, allow_protected)
        old = {directive.attribute: getattr(self, directive.attribute) for directive, _ in directives}
        change = ConfigChange([], old, [])
        for (_, text), (directive, shown) in zip(pairs, directives, strict=True):
            # Multiple arguments are split at each space: quoting is not possible here.
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

    def undo(self, change: ConfigChange) -> None:
        """Revert a change."""
        for attribute, value in change.old.items():
            setattr(self, attribute, value)

    def _find(
        self, pairs: list[tuple[bytes, bytes]], loading: bool, allow_protected: bool
    ) -> list[tuple[Directive[Any], bytes]]:
        """Return the directives named in pairs, each with the name or alias used; raises at the first invalid one."""
        found: list[tuple[Directive[Any], bytes]] = []
        seen: dict[bytes, None] = {}
        for name, _ in pairs:
            lower = name.lower()
            directive = self.NAMES.get(lower)
            if directive is None:
                raise ReplyError(b"ERR Unknown option or number of arguments for CONFIG SET - '%b'" % c_text(name))
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
    return ReplyError(b"ERR CONFIG SET failed (possibly related to argument '%b') - %b" % (c_text(name), why))


def failed(name: str, why: str) -> ReplyError:
    """Return the error for a change that could not be applied, with the directive and the reason."""
    return _failed(name.encode(), why.encode("utf-8", "surrogateescape"))
