"""Times as clients write them, in one place for every method that takes one."""

from __future__ import annotations

import re
from typing import Final

from actors.book.units import INT64_MAX, NS_PER_SECOND, BadNumber, parse_time
from mbtd.records.data import midnight
from mbtd.rpc.errors import refuse

NS_PER_DAY: Final = 86_400 * NS_PER_SECOND
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")


def instant(text: str | None, field: str) -> int | None:
    """An RFC 3339 time, or a date, which is its New York midnight, in nanoseconds UTC; none stays none.

    What comes back can be stored, and so can the day after it. Raises the refusal ``invalid_params``.
    """
    if text is None:
        return None
    try:
        at = midnight(int(text.replace("-", ""))) if _DATE.match(text) else parse_time(text)
        if abs(at) > INT64_MAX - NS_PER_DAY:
            raise BadNumber("a time must lie between the years 1678 and 2262")
    except (BadNumber, ValueError, OverflowError):
        refuse("invalid_params", f"{field} is no RFC 3339 time or date of the years 1678 to 2262", field=field)
    return at
