"""Layers of settings over a tree of Structs: defaults < file < environment < flags, each with its origin.

Knows no setting by name. Invariants: every value is checked against its field's type in the layer that it
comes from, so an error can name that layer; all problems are collected before anything is raised; a refused
value is never repeated in a message, since it could be a secret in the wrong place.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Generic, TypeVar, get_type_hints

import msgspec
from msgspec import Struct

from mbtd.config.words import allowed
from mbtd.limits import CONFIG_FILE_MAX_BYTES

PREFIX = "MBTD_"
DEFAULT = "default"
COMMAND_LINE = "command line"
_WHOLE = re.compile(r"-?[0-9]{1,19}\Z")
_WORDS = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}

T = TypeVar("T", bound=Struct)
Check = Callable[[T], Iterable[tuple[tuple[str, ...], str]]]


class Problem(Struct, frozen=True):
    """One thing that is wrong: where it was said, which setting, what is wrong, what is allowed."""

    source: str
    key: str
    message: str
    allowed: str = ""

    def __str__(self) -> str:
        place = f"{self.source}: {self.key}" if self.key else self.source
        return f"{place}: {self.message}" + (f"; allowed: {self.allowed}" if self.allowed else "")


class ConfigError(Exception):
    """The settings cannot be used; ``problems`` says why, ``exit_status`` is what the process ends with."""

    exit_status = 78

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class Loaded(Struct, Generic[T], frozen=True):
    """Settings, and for each dotted key where its value came from."""

    config: T
    origins: dict[str, str]


def load_layers(
    model: type[T],
    path: Path | None,
    environ: Mapping[str, str],
    flags: Mapping[str, object],
    check: Check[T],
) -> Loaded[T]:
    """Build ``model`` from its defaults, the file, the environment and the flags, in this order.

    Flags are dotted keys; None means not given; texts are read as in the environment.
    Raises ``ConfigError``.
    """
    layers = _Layers(leaves(model))
    if path is not None:
        layers.add_file(path)
    layers.add_environment(environ)
    for key, value in flags.items():
        if value is not None:
            layers.add(key, value, COMMAND_LINE, texts=isinstance(value, str))
    if layers.problems:
        raise ConfigError(layers.problems)
    config = _build(model, layers.values, "")
    found = [_blame(layers.origins, keys, message) for keys, message in check(config)]
    if found:
        raise ConfigError(found)
    return Loaded(config, layers.origins)


def leaves(model: type[Struct], prefix: str = "") -> dict[str, Any]:
    """Dotted key → type of every setting below ``model``; nested Structs are tables, all else settings."""
    found: dict[str, Any] = {}
    for name, hint in get_type_hints(model, include_extras=True).items():
        if name not in model.__struct_fields__:
            continue
        if isinstance(hint, type) and issubclass(hint, Struct):
            found.update(leaves(hint, f"{prefix}{name}."))
        else:
            found[f"{prefix}{name}"] = hint
    return found


def values(config: Struct, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and value of every setting, in the order of the model."""
    for name in config.__struct_fields__:
        value = getattr(config, name)
        if isinstance(value, Struct):
            yield from values(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


class _Layers:
    """Collects values, origins and problems while the layers are laid on one another."""

    def __init__(self, types: dict[str, Any]) -> None:
        self.types = types
        self.tables = {key[: at.start()] for key in types for at in re.finditer(r"\.", key)}
        self.values: dict[str, Any] = {}
        self.origins = dict.fromkeys(types, DEFAULT)
        self.problems: list[Problem] = []

    def add_file(self, path: Path) -> None:
        try:
            raw = path.read_bytes()
            if len(raw) > CONFIG_FILE_MAX_BYTES:
                raise ValueError(f"is larger than {CONFIG_FILE_MAX_BYTES} bytes")
            tree = tomllib.loads(raw.decode("utf-8"), parse_float=Decimal)
        except OSError as error:
            self.problems.append(Problem(str(path), "", f"cannot be read: {error.strerror}"))
        except UnicodeDecodeError:
            self.problems.append(Problem(str(path), "", "is not UTF-8 text"))
        except (ValueError, RecursionError) as error:
            self.problems.append(Problem(str(path), "", f"is not valid TOML: {error}"))
        else:
            self._add_table(tree, "", str(path))

    def _add_table(self, table: Mapping[str, Any], prefix: str, source: str) -> None:
        for name, value in table.items():
            key = f"{prefix}{name}"
            if key in self.tables and isinstance(value, dict):
                self._add_table(value, f"{key}.", source)
            elif key in self.tables:
                self.problems.append(Problem(source, key, f"is a table; write it as [{key}]"))
            else:
                self.add(key, value, source)

    def add_environment(self, environ: Mapping[str, str]) -> None:
        for name in sorted(environ):
            if name.startswith(PREFIX) and "__" in name:
                key = name.removeprefix(PREFIX).lower().replace("__", ".")
                self.add(key, environ[name], f"environment {name}", texts=True)

    def add(self, key: str, value: object, source: str, *, texts: bool = False) -> None:
        """Lay one value; a text from outside a file is read by the setting's type."""
        if key not in self.types:
            near = difflib.get_close_matches(key, self.types, 1, 0.75)
            hint = f"; did you mean {near[0]}?" if near else ""
            self.problems.append(Problem(source, key, f"is not a setting{hint}"))
            return
        hint_type = self.types[key]
        try:
            if texts:
                value = _from_text(str(value), hint_type)
            self.values[key] = msgspec.convert(value, hint_type)
        except msgspec.ValidationError as error:
            self.problems.append(Problem(source, key, _without_value(str(error)), allowed(hint_type)))
        else:
            self.origins[key] = source


def _from_text(text: str, hint: Any) -> object:
    """Read a text by the kind of its setting; what does not fit is left for the type check to refuse."""
    kind = msgspec.inspect.type_info(hint)
    if isinstance(kind, msgspec.inspect.BoolType):
        return _WORDS.get(text.strip().lower(), text)
    if isinstance(kind, msgspec.inspect.IntType):
        return int(text) if _WHOLE.match(text) else text
    if isinstance(kind, msgspec.inspect.VarTupleType):
        items = [item.strip() for item in text.split(",") if item.strip()]
        whole = isinstance(kind.item_type, msgspec.inspect.IntType)
        return [int(item) if whole and _WHOLE.match(item) else item for item in items]
    return text


def _build(model: type[T], laid: Mapping[str, Any], prefix: str) -> T:
    """Construct the tree from what was laid; the rest are the model's own defaults."""
    fields: dict[str, Any] = {}
    for name, hint in get_type_hints(model, include_extras=True).items():
        key = f"{prefix}{name}"
        if isinstance(hint, type) and issubclass(hint, Struct):
            fields[name] = _build(hint, laid, f"{key}.")
        elif key in laid:
            fields[name] = laid[key]
    return model(**fields)


def _blame(origins: Mapping[str, str], keys: tuple[str, ...], message: str) -> Problem:
    """The problem at the first of these settings that somebody has set."""
    key = next((key for key in keys if _origin(origins, key) != DEFAULT), keys[0])
    return Problem(_origin(origins, key), key, message)


def _origin(origins: Mapping[str, str], key: str) -> str:
    """Where a setting, or the table entry below one, came from."""
    while key and key not in origins:
        key = key.rpartition(".")[0]
    return origins.get(key, DEFAULT)


def _without_value(message: str) -> str:
    """The reason of a refusal; only words outside a fixed choice are repeated by the type check."""
    if message.startswith("Invalid enum value"):
        return "is not one of the words allowed"
    return message[:1].lower() + message[1:]
