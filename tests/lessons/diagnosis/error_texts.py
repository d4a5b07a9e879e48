"""All error replies in the engine's source, put together as the engine does it.

Every expression that makes a text is evaluated as far as the source shows it: concatenation, `%`, f-strings,
`format`, conditions, constants of this and other modules, entries of tables, the texts of exceptions that are
passed on. What only a running server knows becomes `word` (`7` for a number). The sources in Lua give theirs as well.
"""

import ast
import functools
import itertools
import re
from collections import defaultdict
from pathlib import Path

ENGINE = Path(__file__).parents[3] / "engine"
UNKNOWN = "word"
MOST = 60  # variants of one expression
_CODES = """
ERR ASK BUSY BUSYGROUP BUSYKEY CLUSTERDOWN CROSSSLOT DENIED EXECABORT INPROG INVALIDOBJ IOERR LOADING MASTERDOWN
MISCONF MOVED NOAUTH NOADDR NOGOODSLAVE NOGROUP NOMASTERLINK NOPERM NOPROTO NOQUORUM NOREPLICAS NOSCRIPT NOTBUSY
NOTREADY OOM READONLY TRYAGAIN UNBLOCKED UNKILLABLE WRONGPASS WRONGTYPE
"""
CODES = frozenset(_CODES.split())
_SLOT = re.compile(r"%[-0-9.]*([bsdifgrcx%])")


_MAKES_ERRORS = re.compile(r"ReplyError\(|\"[A-Z]{3,} [A-Za-z%'(]|Error\(b?f?\"")


@functools.cache
def _modules():
    """Return the modules that have to do with errors, parsed."""
    sources = ((path, path.read_text()) for path in sorted(ENGINE.rglob("*.py")))
    return {path: ast.parse(text) for path, text in sources if _MAKES_ERRORS.search(text)}


def _name_of(path):
    return ".".join(["engine", *path.relative_to(ENGINE).with_suffix("").parts]).removesuffix(".__init__")


@functools.cache
def _constants():
    """Return the assignments of every module: module → name → expressions."""
    found = {}
    for path, tree in _modules().items():
        names = found[_name_of(path)] = defaultdict(list)
        for node in (tree, *(each for each in tree.body if isinstance(each, ast.ClassDef))):
            for each in node.body:
                if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name):
                    names[each.targets[0].id].append(each.value)
                elif isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name) and each.value:
                    names[each.target.id].append(each.value)
    return found


@functools.cache
def _imports():
    """Return where each module has its names from: module → name → (module, name)."""
    found = {}
    for path, tree in _modules().items():
        names = found[_name_of(path)] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                for each in node.names:
                    names[each.asname or each.name] = (node.module, each.name)
    return found


def _called(node):
    function = node.func
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


def _calls(tree, function):
    """Yield all calls, with the function that each is in."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Call):
            yield node, function
        yield from _calls(node, node if isinstance(node, ast.FunctionDef) else function)


@functools.cache
def _raised():
    """Return what exceptions are made with, subclasses included: class → (module, function, expression)."""
    found, bases = defaultdict(list), {}
    for path, tree in _modules().items():
        for scope in ast.walk(tree):
            if isinstance(scope, ast.ClassDef):
                bases[scope.name] = [each.id for each in scope.bases if isinstance(each, ast.Name)]
        for node, scope in _calls(tree, None):
            if node.args and _called(node).endswith(("Error", "Refused", "Problem")):
                found[_called(node)].append((_name_of(path), scope, node.args[0]))
    for name, above in bases.items():
        for base in above:
            found[base] += found.get(name, [])
    return found


@functools.cache
def _scope(module, function):
    return _Scope(module, function)


class _Scope:
    """What a function's names stand for."""

    def __init__(self, module, function):
        self.module = module
        self.locals = defaultdict(list)
        self.errors = {}
        self.open, self.known = set(), {}
        for node in ast.walk(function) if function is not None else ():
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    if isinstance(target, ast.Name):
                        self.locals[target.id].append(node.value)
            elif isinstance(node, ast.NamedExpr):
                self.locals[node.target.id].append(node.value)
            elif isinstance(node, ast.ExceptHandler) and node.name and node.type is not None:
                kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
                self.errors[node.name] = [each.id for each in kinds if isinstance(each, ast.Name)]


def _made(node, scope, depth=0):
    """Return the texts that an expression may give; `word` where only a running server knows."""
    if depth > 8:
        return [UNKNOWN]
    again = functools.partial(_made, scope=scope, depth=depth + 1)
    match node:
        case ast.Constant(value=bytes(data)):
            return [data.decode(errors="replace")]
        case ast.Constant(value=str(text)):
            return [text]
        case ast.BinOp(op=ast.Add()):
            return [a + b for a, b in itertools.product(again(node.left), again(node.right))][:MOST]
        case ast.BinOp(op=ast.Mod()):
            values = node.right.elts if isinstance(node.right, ast.Tuple) else [node.right]
            return [
                _filled(form, some)
                for form in again(node.left)
                for some in itertools.islice(itertools.product(*map(again, values)), MOST)
            ][:MOST]
        case ast.JoinedStr():
            return ["".join(some) for some in itertools.islice(itertools.product(*map(again, node.values)), MOST)]
        case ast.FormattedValue():
            return again(node.value)
        case ast.IfExp():
            return [*again(node.body), *again(node.orelse)]
        case ast.BoolOp():
            return [each for value in node.values for each in again(value)]
        case ast.Dict():
            return [text for value in node.values for text in again(value)]
        case ast.Tuple() | ast.List():
            return [text for value in node.elts for text in again(value)]
        case ast.Subscript():
            return again(node.value)
        case ast.Name():
            return _named(node.id, scope, depth)
        case ast.Attribute(value=ast.Name(id=name)) if name in scope.errors:
            return _passed_on(scope.errors[name])
        case ast.Attribute():
            return _named(node.attr, scope, depth) if node.attr.isupper() else [UNKNOWN]
        case ast.Call(func=ast.Attribute(attr="format", value=form)):
            return [re.sub(r"\{[^{}]*\}", UNKNOWN, text) for text in again(form)]
        case ast.Call(func=ast.Attribute(attr="encode" | "decode" | "removeprefix" | "strip" | "get", value=value)):
            return again(value)
        case ast.Call(func=ast.Name(id="str"), args=[ast.Name(id=name)]) if name in scope.errors:
            return _passed_on(scope.errors[name])
    return [UNKNOWN]


def _filled(form, values):
    rest = list(values)
    alone = len(rest) == 1

    def fill(found):
        if found[1] == "%":
            return "%"
        if found[1] in "difgx":
            return "7"
        return (rest[0] if alone else rest.pop(0)) if rest else UNKNOWN

    kinds = [found[1] for found in _SLOT.finditer(form) if found[1] != "%"]
    if not alone and len(kinds) == len(rest):
        rest = [value for value, kind in zip(rest, kinds, strict=True) if kind not in "difgx"]
    return _SLOT.sub(fill, form)


def _named(name, scope, depth):
    if name in scope.open:  # a text that grows in a loop
        return [UNKNOWN]
    if name in scope.known:
        return scope.known[name]
    scope.open.add(name)
    scope.known[name] = found = _looked_up(name, scope, depth)
    scope.open.discard(name)
    return found


def _looked_up(name, scope, depth):
    values = scope.locals.get(name)
    if values:
        return _several(text for value in values[:8] for text in _made(value, scope, depth + 1))
    module = scope.module
    if name in _imports().get(module, {}):
        module, name = _imports()[module][name]
    return _constant(module, name) or [UNKNOWN]


@functools.cache
def _constant(module, name):
    values = _constants().get(module, {}).get(name, ())
    scope = _scope(module, None)
    return _several(text for value in values for text in _made(value, scope))


def _several(texts, most=MOST):
    return list(itertools.islice(dict.fromkeys(texts), most))


_passed = {}


def _passed_on(kinds):
    return _several((text for kind in kinds for text in _of_kind(kind)), 400) or [UNKNOWN]


def _of_kind(kind):
    """Return the texts that exceptions of a class are made with."""
    if kind not in _passed:
        _passed[kind] = [UNKNOWN]  # of those that are made with the text of another one
        made = (_made(value, _scope(module, function), 6) for module, function, value in _raised().get(kind, ()))
        _passed[kind] = _several((text for texts in made for text in texts), 400)
    return _passed[kind]


def _is_error(text):
    code, _, rest = text.partition(" ")
    twice = rest.partition(" ")[0] in CODES  # of an error that may have a code or not
    return code in CODES and bool(rest.strip()) and not twice and "\n" not in text.strip()


_TEXTS = (ast.Constant, ast.BinOp, ast.JoinedStr, ast.Call)


def _outermost(tree, function):
    """Yield the expressions that make a text, without those inside of others, with the function they are in."""
    for node in ast.iter_child_nodes(tree):
        inner = node if isinstance(node, ast.FunctionDef) else function
        if isinstance(node, _TEXTS) and not (isinstance(node, ast.Call) and _called(node) != "format"):
            yield node, inner
            if isinstance(node, ast.Constant):
                continue
            yield from (each for each in _outermost(node, inner) if isinstance(each[0], ast.Call))
        elif isinstance(node, ast.Call) and _called(node) in ("ReplyError", "redirection") and node.args:
            yield node.args[0], inner
        else:
            yield from _outermost(node, inner)


@functools.cache
def of_python():
    """Return the error replies in the engine's Python source."""
    found = {}
    for path, tree in _modules().items():
        for node, function in _outermost(tree, None):
            for text in _made(node, _scope(_name_of(path), function)):
                if _is_error(text):
                    found.setdefault(text.strip(), f"{path.relative_to(ENGINE)}:{node.lineno}")
    return found


@functools.cache
def of_lua():
    """Return the texts of errors in the Lua source, as a script that does not catch them fails with."""
    found = {}
    for path in sorted(ENGINE.rglob("*.lua")):
        for number, row in enumerate(path.read_text().splitlines(), 1):
            if not re.search(r"error|err\b|raise|fail|assert|complain", row):
                continue
            for text in re.findall(r"\"((?:[^\"\\]|\\.)*)\"|'((?:[^'\\]|\\.)*)'", row):
                text = text[0] or text[1]
                if " " in text.strip() and not text.lstrip().startswith("--"):
                    text = re.sub(r"%[a-z]", UNKNOWN, text)
                    found.setdefault(text, f"{path.relative_to(ENGINE)}:{number}")
    return found
