"""The foreign dialect's values: numbers as texts or numbers, capitalised booleans, times with any offset.

Invariant: a number goes from JSON to a decimal text without ever being a float (operations §11); what is not a number
is handed on as it is, so that the daemon's rules refuse it with their own word.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timezone
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from mbtd.gateway.errors import invalid, malformed, not_found

_STRIKE_STEP: Final = Decimal("0.0001")
Number = Annotated[msgspec.Raw, Meta(extra_json_schema={"type": ["number", "string", "null"]})]
"""A JSON number or a text, as it stands in the body."""
Bool = bool | Literal["true", "True", "TRUE", "1", "t", "false", "False", "FALSE", "0", "f", ""] | None
"""In a query."""
Page = Annotated[str, Meta(max_length=128)] | None
_NULL: Final = msgspec.Raw(b"null")
_TRUE: Final = frozenset({"true", "True", "TRUE", "1", "t"})
_LONGEST_NUMBER: Final = 64
_TIME: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(\.[0-9]{1,9})?(Z|z|[+-][0-9]{2}:?[0-9]{2})?)?\Z"
)


def nothing() -> msgspec.Raw:
    """A number that is not there."""
    return _NULL


def text_of(raw: msgspec.Raw, name: str) -> str | None:
    """A number as decimal text: ``1.0`` becomes ``1``; an absent, null or empty one None. Raises 422."""
    written = bytes(raw).decode("utf-8", "replace").strip()
    if written.startswith('"'):
        written = msgspec.json.decode(written, type=str).strip()
    elif written.startswith(("{", "[", "t", "f")):
        raise invalid(f"invalid {name}: must be a number")
    if written in ("", "null"):
        return None
    return decimal_text(written, name)


def strike_bound(written: str, name: str) -> str:
    """A bound of strikes to the step of prices, from the inside, as programs compute them. Raises 422."""
    text = decimal_text(written, name)
    inside = ROUND_CEILING if name.endswith("gte") else ROUND_FLOOR
    return decimal_text(format(Decimal(text).quantize(_STRIKE_STEP, inside), "f"), name) if "." in text else text


def decimal_text(written: str, name: str) -> str:
    """A number's text in its plainest form. Raises 422."""
    try:
        if len(written) > _LONGEST_NUMBER or not written.isascii() or "_" in written:
            raise InvalidOperation
        number = Decimal(written)
        if not number.is_finite() or abs(number.adjusted()) > 30:
            raise InvalidOperation
    except InvalidOperation:
        raise invalid(f"invalid {name}: must be a number") from None
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text or "0"


def flag(given: Any, default: bool = False) -> bool:
    """A boolean of a query or a body."""
    if given is None or given == "":
        return default
    return given if isinstance(given, bool) else given in _TRUE


def words(given: str | None) -> list[str] | None:
    """A comma list; None when absent or empty."""
    if not given:
        return None
    return [word for word in (part.strip() for part in given.split(",")) if word] or None


def instant(given: str | None, name: str, *, end_of_day: bool = False) -> str | None:
    """A time in UTC as the daemon reads it; a bare date is its midnight UTC, or its end."""
    if not given:
        return None
    found = _TIME.match(given.replace(" ", "+") if "T" in given else given)
    try:
        if found is None:
            raise ValueError
        day = date.fromisoformat(found[1])
        if found[2] is None:
            return f"{day.isoformat()}T23:59:59.999999999Z" if end_of_day else f"{day.isoformat()}T00:00:00Z"
        clock = found[2] if found[2].count(":") == 2 else f"{found[2]}:00"
        zone = (found[4] or "Z").upper().replace("Z", "+00:00")
        moment = datetime.fromisoformat(f"{found[1]}T{clock}{zone}").astimezone(timezone.utc)
    except (ValueError, OverflowError):
        raise invalid(f"invalid {name}: must be an RFC 3339 time or a date") from None
    return f"{moment:%Y-%m-%dT%H:%M:%S}{found[3] or ''}Z"


def day(given: str | None, name: str) -> date | None:
    """A date; of a time, its date."""
    if not given:
        return None
    try:
        return date.fromisoformat(given[:10])
    except ValueError:
        raise invalid(f"invalid {name}: must be a date such as 2026-11-24") from None


def uuid_of(given: str, message: str) -> str:
    """A UUID in its usual form. Raises 404 with the message."""
    try:
        return str(UUID(given))
    except ValueError:
        raise not_found(message) from None


def read_json(body: bytes, kind: type[Any]) -> Any:
    """A body as a Struct; ``null`` and nothing are an empty object. Raises 400 or 422."""
    text = body.strip()
    if text in (b"", b"null"):
        text = b"{}"
    try:
        return msgspec.json.decode(text, type=kind, strict=True)
    except msgspec.ValidationError as error:
        raise invalid(f"invalid request body, {str(error)[:200]}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise malformed() from None


def read_query(pairs: list[tuple[str, str]], kind: type[Any]) -> Any:
    """A query as a Struct; the last of a repeated name counts, empty values are absent. Raises 422."""
    given = {name: value for name, value in pairs if value != ""}
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise invalid(f"invalid request parameter, {str(error)[:200]}") from None
