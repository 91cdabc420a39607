"""Recordings: exact prices, merge order, skipping, times, and one clear sentence for every bad file."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.book.units import format_price, format_time, parse_time
from actors.market.messages import Quote, Trade
from mbtd.market.assets import asset_id, instrument_of
from mbtd.market.calendar import Calendar
from mbtd.market.recordings import RecordingError, open_recordings

CALENDAR = Calendar()
START = parse_time("2014-06-05T13:29:58Z")


def write(path: Path, lines: list[Any]) -> Path:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_bytes(gzip.compress("".join(text + "\n" for text in texts).encode()))
    return path


def trade(symbol: str, ms: int, price: float = 10.5, size: int = 100) -> dict[str, Any]:
    return {"T": "t", "S": symbol, "p": price, "s": size, "t": format_time(START + ms * 1_000_000)}


def quote(symbol: str, ms: int) -> dict[str, Any]:
    time = format_time(START + ms * 1_000_000)
    return {"T": "q", "S": symbol, "bp": 10.5, "bs": 3, "ap": 10.51, "as": 7, "t": time}


def test_messages_carry_what_the_line_said(tmp_path: Path) -> None:
    full = {**quote("TWX", 0), "bx": "V", "ax": "P", "c": ["R"], "t": "2014-06-05T13:29:58.123456789Z"}
    print_ = {**trade("TWX", 2000), "x": "N", "i": 7, "c": ["@", "I"]}
    recording = open_recordings([write(tmp_path / "a.gz", [full, print_])])
    at = parse_time("2014-06-05T13:29:58.123456789Z")
    assert list(recording.messages()) == [
        Quote("TWX", 105_000, 3, 105_100, 7, at, "V", "P", "R"),
        Trade("TWX", 105_000, 100, START + 2_000_000_000, "N", "@I", 7),
    ]
    assert (recording.symbols, recording.count) == (("TWX",), 2)
    assert (recording.first_at, recording.last_at) == (at, START + 2_000_000_000)


@given(st.integers(0, 10**13))
def test_prices_of_four_decimals_are_exact(tmp_path_factory: pytest.TempPathFactory, price: int) -> None:
    path = tmp_path_factory.getbasetemp() / "prices.gz"
    line = trade("A", 0)
    del line["p"]
    write(path, [json.dumps(line)[:-1] + f', "p": {format_price(price)}}}'])
    (message,) = open_recordings([path]).messages()
    assert isinstance(message, Trade)
    assert message.price == price


@given(st.integers(0, 10**12), st.integers(1, 9))
def test_finer_prices_are_refused(tmp_path_factory: pytest.TempPathFactory, price: int, fifth: int) -> None:
    path = tmp_path_factory.getbasetemp() / "fine.gz"
    line = trade("A", 0)
    del line["p"]
    text = format(Decimal(price * 10 + fifth).scaleb(-5), "f")
    write(path, [trade("A", 0), json.dumps(line)[:-1] + f', "p": {text}}}'])
    with pytest.raises(RecordingError, match=r"fine\.gz, line 2: price .* is finer than 0\.0001 dollar"):
        list(open_recordings([path]).messages())


@given(st.lists(st.lists(st.integers(0, 120_000), max_size=12), min_size=1, max_size=4), st.integers(0, 50))
def test_merge_order_and_skip(tmp_path_factory: pytest.TempPathFactory, files: list[list[int]], skip: int) -> None:
    base = tmp_path_factory.getbasetemp()
    paths, expected = [], []
    for number, times in enumerate(files):
        ordered = [(ms, number, line) for line, ms in enumerate(sorted(times))]
        paths.append(write(base / f"{number}.gz", [trade("A", ms, size=number * 100 + n) for ms, _, n in ordered]))
        expected += ordered
    if not expected:
        with pytest.raises(RecordingError, match="holds no message"):
            open_recordings(paths)
        return
    recording = open_recordings(paths)
    found = [(m.at, m.size) for m in recording.messages() if isinstance(m, Trade)]
    assert found == [(START + ms * 1_000_000, number * 100 + line) for ms, number, line in sorted(expected)]
    assert recording.count == len(found)
    skipped = [(m.at, m.size) for m in recording.messages(skip) if isinstance(m, Trade)]
    assert skipped == found[skip:]


def test_skip_over_several_pieces_of_a_long_file(tmp_path: Path) -> None:
    lines = [trade(f"S{n % 7}", n, size=n) for n in range(30_000)]
    recording = open_recordings([write(tmp_path / "long.gz", lines)])
    whole = list(recording.messages())
    for skip in (0, 1, 12_345, 13_981, 29_999, 30_000, 40_000):
        assert list(recording.messages(skip)) == whole[skip:]


BAD_LINES: list[tuple[Any, str]] = [
    ("{", "not a market data message"),
    ("", "an empty line"),
    ('{"T":"t","S":"A"}', "missing required field `t`"),
    (trade("A", -5), "time goes back"),
    ({**trade("A", 5), "t": "yesterday"}, "not an RFC 3339 time"),
    ({**trade("A", 5), "t": "2014-06-05T13:29:60Z"}, "second"),
]
BAD_MESSAGES: list[tuple[Any, str]] = [
    ({**trade("A", 5), "T": "b"}, "'b'"),
    ({**trade("A", 5), "p": -1.0}, ">= 0"),
    ({**trade("A", 5), "s": 1.5}, "int"),
    ({**trade("A", 5), "p": "10"}, "float"),
]


@pytest.mark.parametrize(("line", "reason"), BAD_LINES)
def test_bad_lines_are_found_on_opening(tmp_path: Path, line: Any, reason: str) -> None:
    path = write(tmp_path / "bad.gz", [trade("A", 0), trade("A", 1), line, trade("A", 9)])
    with pytest.raises(RecordingError, match=f"bad.gz, line 3: .*{reason}"):
        open_recordings([path])


@pytest.mark.parametrize(("line", "reason"), BAD_MESSAGES)
def test_bad_messages_are_found_on_reading(tmp_path: Path, line: Any, reason: str) -> None:
    recording = open_recordings([write(tmp_path / "bad.gz", [trade("A", 0), trade("A", 1), line])])
    with pytest.raises(RecordingError, match=f"bad.gz, line 3: .*{reason}"):
        list(recording.messages())


def test_files_that_are_not_recordings(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"none\.gz: cannot be read: No such file"):
        open_recordings([tmp_path / "none.gz"])
    plain = tmp_path / "plain.gz"
    plain.write_text(json.dumps(trade("A", 0)))
    with pytest.raises(RecordingError, match=r"plain\.gz: not a whole gzip file"):
        open_recordings([plain])
    cut = tmp_path / "cut.gz"
    cut.write_bytes(write(tmp_path / "whole.gz", [trade("A", n) for n in range(999)]).read_bytes()[:-20])
    with pytest.raises(RecordingError, match=r"cut\.gz: not a whole gzip file"):
        open_recordings([cut])


def test_digest_tells_content_and_order_apart(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a.gz", [trade("A", 0)]), write(tmp_path / "b.gz", [trade("B", 0)])
    both = open_recordings([a, b]).digest
    assert open_recordings([a, b]).digest == both
    assert open_recordings([b, a]).digest != both
    assert open_recordings([a]).digest != both


def test_instruments_of_a_recording(tmp_path: Path) -> None:
    path = write(tmp_path / "o.gz", [quote("TWX140621C00065000", 0), quote("SPY", 1)])
    found = {item.symbol: item for item in open_recordings([path]).instruments(CALENDAR)}
    assert list(found) == ["SPY", "TWX", "TWX140621C00065000"]
    option = found["TWX140621C00065000"]
    assert (option.underlying, option.right, option.strike) == ("TWX", "call", 650_000)
    assert option.expiry_date == 20140620
    assert option.deliverables[0].amount == 100 * 10**9
    assert len({item.asset_id for item in found.values()}) == 3
    assert found["SPY"].asset_id == asset_id("SPY")


def test_symbols_that_name_nothing(tmp_path: Path) -> None:
    recording = open_recordings([write(tmp_path / "x.gz", [quote("spy?", 0)])])
    with pytest.raises(RecordingError, match="neither a stock symbol nor an OSI option symbol"):
        recording.instruments(CALENDAR)
    with pytest.raises(ValueError, match="20149901 is not a date"):
        instrument_of("TWX149901C00065000", CALENDAR)
