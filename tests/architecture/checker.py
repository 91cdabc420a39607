"""Reads the source as a tree and says which of the project's walls it breaks.

Nothing is imported or run: a broken wall is found by parsing alone. Names are followed through the module's
own import statements (``from datetime import datetime as dt`` does not hide ``dt.now``); what is passed
around at run time under another name is not seen, nor is iteration over a set in hash order.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PACKAGES = ("actors", "storage", "mbtd")
MAY_IMPORT = {"actors": set[str](), "storage": set[str](), "mbtd": {"actors", "storage"}}
"""Which of our other packages a package may import."""

PURE_LIBRARIES = frozenset(
    """
    __future__ abc array base64 binascii bisect collections contextlib copy dataclasses datetime decimal enum
    fractions functools hashlib heapq hmac itertools math msgspec numbers operator re string struct types
    typing uuid
    """.split()  # noqa: SIM905 -- a list of this length is easier to read as words
)
"""All that ``actors`` may import from outside: none of it does I/O, reads a clock or waits."""
PUMP = "actors/pump.py"
PUMP_LIBRARIES = frozenset({"anyio"})

BANNED_NAMES = {
    "datetime.datetime.now": "the clock arrives as an input",
    "datetime.datetime.utcnow": "the clock arrives as an input",
    "datetime.datetime.today": "the clock arrives as an input",
    "datetime.date.today": "the clock arrives as an input",
    "uuid.uuid1": "ids derive from the account's seed",
    "uuid.uuid4": "ids derive from the account's seed",
    "os.urandom": "entropy comes through its port",
    "print": "nothing in actors speaks to the world",
    "input": "nothing in actors speaks to the world",
    "open": "nothing in actors does I/O",
    "asyncio.create_task": "actors have no tasks of their own",
    "asyncio.ensure_future": "actors have no tasks of their own",
}
BANNED_MODULES = {"time": "the clock arrives as an input"} | dict.fromkeys(
    ("random", "secrets"), "randomness is counter-based"
)
BANNED_METHODS = {"create_task": "actors have no tasks of their own"}

BOOK_LAYERS = ("units", "events", "state", "rules")
"""Inside ``actors/book``, lowest first: a layer reaches lower ones only, however many modules lie between."""

LINES_MAX = 450
LEFTOVERS = tuple(a + b for a, b in (("TO", "DO"), ("FIX", "ME"), ("X", "XX"), ("NotImplemented", "Error")))


@dataclass(frozen=True, order=True)
class Breach:
    """One broken wall: where and why, as a compiler would say it."""

    path: str
    line: int
    why: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.why}"


@dataclass
class Module:
    """One parsed file: its path below the root, what it imports and under which local names."""

    path: str
    text: str
    tree: ast.Module
    aliases: dict[str, str] = field(default_factory=dict)
    imports: list[tuple[int, str]] = field(default_factory=list)

    @property
    def package(self) -> str:
        return self.path.split("/")[0]

    @property
    def dotted(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def read(root: Path, top: str) -> list[Module]:
    """Parse every Python file below ``root/top``, in name order."""
    return [
        parse(path.relative_to(root).as_posix(), path.read_text(encoding="utf-8"))
        for path in sorted((root / top).rglob("*.py"))
    ]


def parse(path: str, text: str) -> Module:
    """Parse one file and note its imports; relative ones are made absolute."""
    module = Module(path, text, ast.parse(text, path))
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                module.imports.append((node.lineno, name.name))
                local = name.asname or name.name.split(".")[0]
                module.aliases[local] = name.name if name.asname else local
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                parts = path.split("/")[: -node.level]
                origin = ".".join([*parts, origin] if origin else parts)
            for name in node.names:
                module.imports.append((node.lineno, f"{origin}.{name.name}"))
                module.aliases[name.asname or name.name] = f"{origin}.{name.name}"
    return module


def check(root: Path) -> list[Breach]:
    """Every breach in the three packages below ``root``, and leftovers in the tests."""
    modules = [module for top in PACKAGES for module in read(root, top)]
    breaches = [breach for module in modules for breach in check_module(module)]
    breaches += check_layers(modules)
    for module in read(root, "tests"):
        breaches += check_leftovers(module)
    return sorted(breaches)


def check_module(module: Module) -> Iterator[Breach]:
    """The walls that one file can break by itself."""
    yield from check_arrows(module)
    yield from check_leftovers(module)
    yield from check_shape(module)
    if module.package == "actors":
        yield from check_names(module)
        if module.path != PUMP:
            yield from check_waiting(module)
    if module.path.startswith("actors/book/"):
        yield from check_floats(module)


def check_arrows(module: Module) -> Iterator[Breach]:
    """Between packages, and from ``actors`` to the outside."""
    allowed = PURE_LIBRARIES | PUMP_LIBRARIES if module.path == PUMP else PURE_LIBRARIES
    for line, name in module.imports:
        top = name.split(".")[0]
        if top == module.package:
            continue
        if top in PACKAGES or top == "tests":
            if top not in MAY_IMPORT[module.package]:
                yield Breach(module.path, line, f"{module.package} must not import {top}")
        elif module.package == "actors" and top not in allowed:
            yield Breach(module.path, line, f"actors must not import {top}")


def check_leftovers(module: Module) -> Iterator[Breach]:
    """Marks of unfinished work."""
    for number, line in enumerate(module.text.splitlines(), 1):
        for mark in LEFTOVERS:
            if mark in line:
                yield Breach(module.path, number, f"unfinished: {mark}")


def check_shape(module: Module) -> Iterator[Breach]:
    """Small rooms, each with a head that says what it is."""
    lines = module.text.count("\n")
    if lines > LINES_MAX:
        yield Breach(module.path, lines, f"{lines} lines; a file has at most {LINES_MAX}")
    if module.tree.body and not ast.get_docstring(module.tree):
        yield Breach(module.path, 1, "a module with code needs a docstring")


def check_names(module: Module) -> Iterator[Breach]:
    """Clock, chance, I/O and tasks; a mention is enough, since a reference can be called elsewhere."""
    own = bound_names(module)
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Name | ast.Attribute):
            name = resolve(module, node)
            if isinstance(node, ast.Name) and node.id in own:
                continue
            top, _, rest = name.partition(".")
            if name in BANNED_NAMES:
                yield Breach(module.path, node.lineno, f"{name}: {BANNED_NAMES[name]}")
            elif rest and top in BANNED_MODULES:
                yield Breach(module.path, node.lineno, f"{name}: {BANNED_MODULES[top]}")
            elif isinstance(node, ast.Attribute) and node.attr in BANNED_METHODS:
                yield Breach(module.path, node.lineno, f"{node.attr}: {BANNED_METHODS[node.attr]}")


def bound_names(module: Module) -> set[str]:
    """Names that the module gives to things of its own, so that they are not the built-in ones."""
    found = set[str]()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def resolve(module: Module, node: ast.expr) -> str:
    """The dotted name behind an expression, with import aliases undone; empty for anything but names."""
    if isinstance(node, ast.Name):
        return module.aliases.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        inner = resolve(module, node.value)
        return f"{inner}.{node.attr}" if inner else ""
    return ""


def check_waiting(module: Module) -> Iterator[Breach]:
    """Only the pump may wait."""
    waiting = ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith
    for node in ast.walk(module.tree):
        if isinstance(node, waiting):
            yield Breach(module.path, node.lineno, f"only {PUMP} may wait")


def check_floats(module: Module) -> Iterator[Breach]:
    """No binary fraction comes near the book."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            yield Breach(module.path, node.lineno, f"float literal {node.value}")
        elif isinstance(node, ast.Name) and node.id == "float":
            yield Breach(module.path, node.lineno, "float in the book")


def check_layers(modules: list[Module]) -> Iterator[Breach]:
    """Inside ``actors/book``: follow imports from each layer and see whether a higher one is reached."""
    by_name = {module.dotted: module for module in modules}
    for module in modules:
        layer = book_layer(module.dotted)
        if layer is None:
            continue
        for line, start in module.imports:
            for reached in closure(start, by_name):
                other = book_layer(reached)
                if other is not None and other > layer:
                    yield Breach(
                        module.path,
                        line,
                        f"{BOOK_LAYERS[layer]} must not reach {BOOK_LAYERS[other]} ({reached})",
                    )


def book_layer(dotted: str) -> int | None:
    """The rank of a module's layer inside ``actors.book``; None for modules outside the four layers."""
    parts = dotted.split(".")
    if parts[:2] == ["actors", "book"] and len(parts) > 2 and parts[2] in BOOK_LAYERS:
        return BOOK_LAYERS.index(parts[2])
    return None


def closure(start: str, by_name: dict[str, Module]) -> set[str]:
    """All names that importing ``start`` reaches, itself included; our own are names of modules."""
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        module = by_name.get(name) or by_name.get(name.rpartition(".")[0])
        found = module.dotted if module else name
        if found not in reached:
            reached.add(found)
            waiting += [target for _, target in module.imports] if module else []
    return reached
