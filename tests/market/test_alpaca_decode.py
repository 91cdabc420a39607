"""Frames to tape messages: exact values, and arbitrary bytes."""

from __future__ import annotations

import math
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.market.messages import Auction, Quote, Status, TapeMessage, Trade
from mbtd.market.feeds.alpaca_decode import AFTER_GAP, DecodeCounters, StreamDecoder

AT = 1_760_000_000_123_456_789
QUOTE = {
    "T": "q",
    "S": "A",
    "bx": "V",
    "bp": 10.01,
    "bs": 3,
    "ax": "Q",
    "ap": 10.03,
    "as": 2,
    "c": ["R"],
    "t": AT,
}
TRADE = {"T": "t", "S": "A", "i": 1, "x": "Q", "p": 10.02, "s": 100, "c": ["@"], "t": AT}
STATUS = {"T": "s", "S": "A", "sc": "H", "sm": "", "rc": "T1", "rm": "", "t": AT}


def pack(*messages: dict[str, Any]) -> bytes:
    stamped = [
        {**m, "t": msgpack.Timestamp.from_unix_nano(m["t"])} if isinstance(m.get("t"), int) else m for m in messages
    ]
    return as_timestamps(msgpack.packb(stamped))


def as_timestamps(frame: bytes) -> bytes:
    """Turn extensions of type 42 under ``t``, which the packer lets us build, into (bad) timestamps."""
    for head in (b"\xd4", b"\xd5", b"\xd6", b"\xd7", b"\xd8", b"\xc7\x03", b"\xc7\x0c"):
        frame = frame.replace(b"\xa1t" + head + b"\x2a", b"\xa1t" + head + b"\xff")
    return frame


def decode(
    *messages: dict[str, Any], decoder: StreamDecoder | None = None
) -> tuple[list[TapeMessage], DecodeCounters]:
    decoder = decoder or StreamDecoder("stocks", primary_exchange={"A": "Q"}.get)  # type: ignore[arg-type]
    tape, _controls = decoder.decode(pack(*messages), 7)
    return tape, decoder.counters


@given(at=st.integers(1_000_000_000, (1 << 33) * 1_000_000_000 - 1))
def test_times_keep_every_nanosecond(at: int) -> None:
    for again in range(2):
        decoder = StreamDecoder("stocks")
        frames = [pack({**QUOTE, "t": at})] * (1 + again)
        assert [decoder.decode(frame, 7)[0][0].at for frame in frames] == [at] * (1 + again)
    tape, _ = decode({**TRADE, "t": at})
    assert tape[0].at == at


@given(
    bid=st.integers(0, 10**13 - 1),
    ask=st.integers(0, 10**13 - 1),
    sizes=st.tuples(st.integers(0, 1 << 40), st.integers(0, 1 << 40)),
    floats=st.booleans(),
)
def test_prices_and_sizes_are_exact(bid: int, ask: int, sizes: tuple[int, int], floats: bool) -> None:
    decoder = StreamDecoder("stocks")
    wire = {**QUOTE, "bp": bid / 10_000, "ap": ask / 10_000, "bs": sizes[0], "as": sizes[1]}
    if floats:
        wire |= {"bs": float(sizes[0]), "as": float(sizes[1])}
    expected = Quote("A", bid, sizes[0] if bid else 0, ask, sizes[1] if ask else 0, AT, "V", "Q", "R", 7)
    for _ in range(2):
        if max(bid, ask) / 10_000 < 1e9:
            assert decoder.decode(pack(wire), 7)[0] == [expected]


def test_whole_dollars_may_come_as_integers() -> None:
    tape, _ = decode({**QUOTE, "bp": 10, "ap": 11}, {**TRADE, "p": 12})
    assert isinstance(tape[0], Quote)
    assert isinstance(tape[1], Trade)
    assert (tape[0].bid, tape[0].ask, tape[1].price) == (100_000, 110_000, 120_000)


def test_order_within_a_frame_is_kept() -> None:
    tape, _ = decode(QUOTE, TRADE, QUOTE, {**STATUS}, QUOTE)
    assert [type(m) for m in tape] == [Quote, Trade, Quote, Status, Quote]


@pytest.mark.parametrize(
    "wrong",
    [
        {"bp": None},
        {"bp": "10.01"},
        {"bp": True},
        {"bp": -1.0},
        {"bp": math.nan},
        {"ap": math.inf},
        {"ap": 1e12},
        {"bs": -1},
        {"bs": "3"},
        {"as": math.nan},
        {"S": 5},
        {"S": None},
        {"t": "2025-10-09T08:53:20Z"},
        {"t": 1.5},
        {"t": msgpack.ExtType(5, b"12345678")},
        {"t": msgpack.ExtType(42, b"\xff" * 8)},
        {"t": msgpack.ExtType(42, b"123")},
        {"t": msgpack.Timestamp(-62_135_596_800, 0)},
        {"c": {"a": 1}},
        {"c": [1]},
    ],
)
def test_a_wrong_field_loses_that_message_and_no_other(wrong: dict[str, Any]) -> None:
    bad = {**QUOTE, **wrong}
    decoder = StreamDecoder("stocks")
    for _ in range(2):
        tape, counters = decode(QUOTE, bad, TRADE, decoder=decoder)
        assert [type(m) for m in tape][:1] == [Quote]
        assert sum(isinstance(m, Quote) for m in tape) == 1
        assert counters.malformed + counters.bad_times >= 1


@pytest.mark.parametrize("missing", ["S", "bp", "bs", "ap", "as", "t"])
def test_a_missing_field_loses_the_message(missing: str) -> None:
    tape, counters = decode({k: v for k, v in QUOTE.items() if k != missing}, QUOTE)
    assert (len(tape), counters.malformed) == (1, 1)


def test_what_is_counted_and_what_is_ignored() -> None:
    bar = {"T": "b", "S": "A", "o": 1.0}
    correction, cancel, imbalance = {"T": "c", "S": "A"}, {"T": "x", "S": "A"}, {"T": "i", "S": "A"}
    tape, counters = decode(bar, {**bar, "T": "u"}, {**bar, "T": "d"}, imbalance, correction, cancel)
    assert tape == []
    assert (counters.ignored, counters.corrections, counters.cancels) == (4, 1, 1)
    assert (counters.malformed, counters.unknown_types) == (0, 0)


def test_a_print_is_delivered_once() -> None:
    decoder = StreamDecoder("stocks")
    tape, counters = decode(TRADE, TRADE, {**TRADE, "i": 2}, {**TRADE, "t": AT + 1}, decoder=decoder)
    assert (len(tape), counters.duplicate_trades) == (3, 1)
    option = {"T": "t", "S": "A261218C00010000", "p": 1.0, "s": 1, "c": "g", "x": "C", "t": AT}
    assert len(decode(option, option, decoder=StreamDecoder("options"))[0]) == 2


def test_prints_below_one_share_and_without_price_are_left_out() -> None:
    tape, counters = decode({**TRADE, "s": 0.25}, {**TRADE, "i": 2, "s": 3.75}, {**TRADE, "i": 3, "p": 0})
    assert [m.size for m in tape if isinstance(m, Trade)] == [3]
    assert (counters.fractional_trades, counters.malformed) == (1, 1)


def test_time_may_go_backwards() -> None:
    decoder = StreamDecoder("stocks")
    decode(QUOTE, decoder=decoder)
    tape, counters = decode({**QUOTE, "t": AT - 5}, decoder=decoder)
    assert (tape[0].at, counters.frames_back_in_time) == (AT - 5, 1)


def test_round_lots_become_shares_where_asked() -> None:
    tape, _ = decode(QUOTE, TRADE, decoder=StreamDecoder("stocks", size_multiplier=100))
    assert isinstance(tape[0], Quote)
    assert isinstance(tape[1], Trade)
    assert (tape[0].bid_size, tape[0].ask_size, tape[1].size) == (300, 200, 100)
    tape, _ = decode(QUOTE, decoder=StreamDecoder("options", size_multiplier=100))
    assert isinstance(tape[0], Quote)
    assert tape[0].bid_size == 3


def test_auctions_come_from_the_primary_exchange_once_a_day() -> None:
    def auction(number: int, exchange: str, *codes: str, later: int = 0) -> dict[str, Any]:
        return {**TRADE, "i": number, "x": exchange, "c": list(codes), "t": AT + later}

    day = 86_400_000_000_000
    tape, counters = decode(
        auction(1, "N", "@", "O"),
        auction(2, "Q", "@", "O"),
        auction(3, "Q", "Q"),
        auction(4, "Q", "@"),
        auction(5, "Q", "5"),
        auction(6, "Q", "M"),
        auction(7, "Q", "6"),
        auction(8, "Q", "@", "Q", later=day),
        {**auction(9, "Q", "O"), "S": "UNKNOWN"},
    )
    auctions = [m for m in tape if isinstance(m, Auction)]
    assert [(m.kind, m.at) for m in auctions] == [
        ("open", AT),
        ("halt", AT),
        ("close", AT),
        ("open", AT + day),
    ]
    assert auctions[0] == Auction("A", "open", 100_200, 100, AT, "Q", 7)
    assert (len(tape), counters.auctions) == (13, 4)


@pytest.mark.parametrize(
    ("code", "reason", "state"),
    [
        ("2", "D", "halted"),
        ("2", "M", "paused"),
        ("3", "", "trading"),
        ("H", "T12", "halted"),
        ("H", "LUDP", "paused"),
        ("P", "LUDP", "paused"),
        ("Q", "IPOQ", "trading"),
        ("T", "T3", "trading"),
        ("7", "I", "trading"),
    ],
)
def test_status_codes(code: str, reason: str, state: str) -> None:
    tape, _ = decode({**STATUS, "sc": code, "rc": reason})
    assert tape == [Status("A", state, AT, reason or code, received_at=7)]  # type: ignore[arg-type]


def test_a_status_carries_all_that_is_known() -> None:
    bands = {"T": "l", "S": "A", "u": 11.0, "d": 9.5, "i": "B", "t": AT + 1}
    restricted, quoting = {**STATUS, "sc": "E", "t": AT + 2}, {**STATUS, "sc": "Q", "t": AT + 3}
    resumed = {**STATUS, "sc": "T", "rc": "", "t": AT + 4}
    tape, _ = decode(STATUS, bands, restricted, quoting, resumed)
    assert [(m.state, m.luld_lower, m.luld_upper, m.short_restricted) for m in tape if isinstance(m, Status)] == [
        ("halted", 0, 0, False),
        ("halted", 95_000, 110_000, False),
        ("halted", 95_000, 110_000, True),
        ("halted", 95_000, 110_000, True),
        ("trading", 95_000, 110_000, True),
    ]


def test_a_halt_before_a_gap_ends_with_the_first_ordinary_print_after_it() -> None:
    decoder = StreamDecoder("stocks")
    decode(STATUS, decoder=decoder)
    assert [type(m) for m in decode({**TRADE, "i": 1}, decoder=decoder)[0]] == [Trade]
    decoder.note_gap()
    assert [type(m) for m in decode({**TRADE, "i": 2, "c": ["Z"]}, decoder=decoder)[0]] == [Trade]
    tape, _ = decode({**TRADE, "i": 3}, {**TRADE, "i": 4}, decoder=decoder)
    assert tape[0] == Status("A", "trading", AT, AFTER_GAP, received_at=7)
    assert [type(m) for m in tape] == [Status, Trade, Trade]


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats()
    | st.text(max_size=4)
    | st.binary(max_size=12)
    | st.builds(msgpack.ExtType, st.sampled_from([0, 5, 42]), st.binary(max_size=12))
    | st.builds(msgpack.Timestamp, st.integers(0, 1 << 33), st.integers(0, 999_999_999)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
FIELDS = [
    "T",
    "S",
    "bp",
    "bs",
    "ap",
    "as",
    "bx",
    "ax",
    "c",
    "t",
    "p",
    "s",
    "i",
    "x",
    "u",
    "d",
    "sc",
    "code",
    "msg",
]
TYPES = st.sampled_from([*"qtslcxbudiz", "error", "success", "subscription", ""])
MESSAGES = st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=12) | st.builds(
    lambda base, field, value: {**base, field: value},
    st.sampled_from([QUOTE, TRADE, STATUS]),
    st.sampled_from(FIELDS),
    VALUES | TYPES,
)


def check(frame: bytes) -> None:
    """Never an exception, and nothing on the tape that breaks the tape's own rules."""
    for kind in ("stocks", "options"):
        decoder = StreamDecoder(kind, primary_exchange=lambda _s: "Q")
        for _ in range(2):
            tape, _controls = decoder.decode(frame, 7)
            for message in tape:
                assert 0 < message.at < 1 << 63
                if isinstance(message, Quote):
                    for price, size in ((message.bid, message.bid_size), (message.ask, message.ask_size)):
                        assert isinstance(price, int)
                        assert isinstance(size, int)
                        assert 0 <= price <= 10**13
                        assert 0 <= size < 1 << 62
                        assert price or not size
                if isinstance(message, Trade):
                    assert message.price > 0
                    assert message.size > 0
                    assert 0 <= message.trade_id < 1 << 63


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_bytes(frame: bytes) -> None:
    check(frame)


@settings(max_examples=300, deadline=None)
@given(st.lists(MESSAGES, max_size=4))
def test_arbitrary_messages(messages: list[dict[str, Any]]) -> None:
    stamped = [{**m, "t": msgpack.Timestamp.from_unix_nano(AT)} if m.get("t") == AT else m for m in messages]
    check(as_timestamps(msgpack.packb(stamped)))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_mutilated_frames(data: st.DataObject) -> None:
    frame = bytearray(pack(QUOTE, TRADE, STATUS, QUOTE))
    for _ in range(data.draw(st.integers(1, 4))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    check(bytes(frame[: data.draw(st.integers(0, len(frame)))]))
    check(bytes(frame))
