"""Says in plain words what a setting's type allows."""

from __future__ import annotations

from typing import Any

from msgspec import inspect


def allowed(hint: Any) -> str:
    """What may be written for a setting of this type, for an error message."""
    return _say(inspect.type_info(hint))


def _say(kind: inspect.Type) -> str:
    match kind:
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return "a whole number" + _range(kind)
        case inspect.DecimalType():
            return "a decimal number"
        case inspect.LiteralType():
            return "one of " + ", ".join(map(str, kind.values))
        case inspect.StrType():
            return "a text" + (f" of the form {kind.pattern}" if kind.pattern else "")
        case inspect.VarTupleType():
            return f"a list, each item {_say(kind.item_type)}"
        case inspect.DictType():
            return f"a table, each value {_say(kind.value_type)}"
        case inspect.UnionType():
            return " or ".join(_say(each) for each in kind.types)
        case _:
            return type(kind).__name__.removesuffix("Type").lower()


def _range(kind: inspect.IntType) -> str:
    if kind.ge is not None and kind.le is not None:
        return f" from {kind.ge} to {kind.le}"
    return f" of at least {kind.ge}" if kind.ge is not None else ""
