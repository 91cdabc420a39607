"""Writes ``xnys.json`` from the exchange-calendars library: ``python -m mbtd.market.make_calendar``.

A tool of development (the library is in the ``dev`` extra). Run it after an upgrade of the library.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Final

import msgspec

from mbtd.market.calendar import CalendarData, to_int

FIRST: Final = date(1990, 1, 1)
LAST: Final = date(2037, 12, 31)


def generate() -> CalendarData:
    """What the installed library says about XNYS."""
    import exchange_calendars  # takes a second to import and is needed only here

    source = exchange_calendars.get_calendar("XNYS", start=FIRST.isoformat(), end=LAST.isoformat())
    sessions = {stamp.date() for stamp in source.sessions}
    days = (FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1))
    if len(source.late_opens):
        raise ValueError(f"the calendar's data has no place for late opens: {list(source.late_opens)}")
    closes = [source.session_close(stamp).tz_convert("America/New_York") for stamp in source.early_closes]
    return CalendarData(
        source=f"exchange-calendars {exchange_calendars.__version__}, XNYS",
        first=to_int(FIRST),
        last=to_int(LAST),
        holidays=tuple(to_int(day) for day in days if day.weekday() < 5 and day not in sessions),
        early_closes={str(to_int(stamp.date())): stamp.strftime("%H:%M") for stamp in closes},
    )


def render(data: CalendarData) -> bytes:
    """The bytes of the data file."""
    return msgspec.json.encode(data) + b"\n"


def main() -> None:
    """Write the file beside this module."""
    Path(__file__).with_name("xnys.json").write_bytes(render(generate()))


if __name__ == "__main__":
    main()
