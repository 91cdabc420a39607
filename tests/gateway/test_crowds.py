"""Crowds of stream clients against the obvious: everybody has a list of his own."""

from __future__ import annotations

import asyncio
from typing import Any

import msgpack
from hypothesis import given
from hypothesis import strategies as st

from actors.market.messages import Quote, Trade
from mbtd.gateway.sockets import Connections
from mbtd.gateway.stream_clients import BEHIND_BYTES, PRINTS_WAITING_MAX, Client
from mbtd.gateway.stream_market import MarketStreams

SYMBOLS = ("A", "B", "C")
AT = 10**18


class FakeWire:
    """Keeps what is written; takes nothing while it is stuck."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.waiting_bytes = 0

    def write(self, frames: bytes) -> None:
        self.frames.append(frames)

    async def drain(self) -> None:
        """Nothing to wait for."""

    def heard(self) -> list[dict[str, Any]]:
        """All messages, unframed."""
        found: list[dict[str, Any]] = []
        raw = b"".join(self.frames)
        while raw:
            assert raw[0] == 0x82
            size, start = raw[1], 2
            if size == 126:
                size, start = int.from_bytes(raw[2:4], "big"), 4
            elif size == 127:
                size, start = int.from_bytes(raw[2:10], "big"), 10
            found += msgpack.unpackb(raw[start : start + size])
            raw = raw[start + size :]
        return found


WISHES = st.fixed_dictionaries(
    {"trades": st.sets(st.sampled_from((*SYMBOLS, "*"))), "quotes": st.sets(st.sampled_from(SYMBOLS))}
)
STEPS = st.one_of(
    st.tuples(st.just("want"), st.integers(0, 3), WISHES),
    st.tuples(st.just("print"), st.sampled_from(SYMBOLS)),
    st.tuples(st.just("quote"), st.sampled_from(SYMBOLS)),
    st.tuples(st.just("round")),
    st.tuples(st.just("stuck"), st.integers(0, 3), st.booleans()),
)


def client(streams: MarketStreams) -> tuple[Client, FakeWire]:
    wire = FakeWire()
    made = Client(None, wire, options=False, msgpack=True)  # type: ignore[arg-type]
    made.lane = "real_time"
    streams._clients["real_time"][made] = None
    return made, wire


@given(st.lists(STEPS, max_size=60))
def test_everybody_hears_what_he_wanted_when_it_came(steps: list[Any]) -> None:
    async def play() -> None:
        streams = MarketStreams(None, None, Connections())  # type: ignore[arg-type]
        clients = [client(streams) for _ in range(4)]
        wanted: list[dict[str, set[str]]] = [{"trades": set(), "quotes": set()} for _ in clients]
        prints: list[list[int]] = [[] for _ in clients]
        newest: list[dict[str, float]] = [{} for _ in clients]
        undelivered: list[list[tuple[str, int]]] = [[] for _ in clients]
        for number, step in enumerate(steps, start=1):
            match step:
                case ("want", who, wishes):
                    streams._want(clients[who][0], {name: set() for name in clients[who][0].wants} | wishes)
                    wanted[who] = wishes
                    # What waits and is not wanted any more may be dropped; what is still wanted may not.
                    undelivered[who] = [
                        (symbol, n) for symbol, n in undelivered[who] if {symbol, "*"} & wishes["trades"]
                    ]
                    newest[who] = {s: p for s, p in newest[who].items() if s in wishes["quotes"]}
                case ("print", symbol):
                    streams._hand("trades", "real_time", symbol, Trade(symbol, 10_000, number, AT))
                    for who, wishes in enumerate(wanted):
                        if {symbol, "*"} & wishes["trades"]:
                            undelivered[who].append((symbol, number))
                case ("quote", symbol):
                    quote = Quote(symbol, 10_000 * number, 1, 10_000 * number + 1, 1, AT)
                    streams._hand("quotes", "real_time", symbol, quote)
                    for who, wishes in enumerate(wanted):
                        if symbol in wishes["quotes"]:
                            newest[who][symbol] = number
                case ("round",):
                    streams._send_all()
                    for who, (_, wire) in enumerate(clients):
                        if not wire.waiting_bytes:
                            prints[who] += [n for _, n in undelivered[who]]
                            undelivered[who] = []
                case ("stuck", who, stuck):
                    clients[who][1].waiting_bytes = BEHIND_BYTES + 1 if stuck else 0
        for _, wire in clients:
            wire.waiting_bytes = 0
        streams._send_all()
        for who, (_, wire) in enumerate(clients):
            heard = wire.heard()
            told = [message["s"] for message in heard if message["T"] == "t"]
            due = prints[who] + [n for _, n in undelivered[who]]
            assert [n for n in told if n in set(due)] == due
            assert len(set(told)) == len(told)
            assert told == sorted(told)
            last = {message["S"]: message["bp"] for message in heard if message["T"] == "q"}
            assert newest[who].items() <= last.items()

    asyncio.run(play())


def test_prints_wait_up_to_a_bound_and_the_others_go_on() -> None:
    async def play() -> None:
        streams = MarketStreams(None, None, Connections())  # type: ignore[arg-type]
        (slow, stuck), (_, open_wire) = clients = [client(streams) for _ in range(2)]
        for member, _ in clients:
            streams._want(member, {name: set() for name in member.wants} | {"trades": {"A"}})
        slow.end = lambda: setattr(slow, "over", True)  # type: ignore[method-assign]
        stuck.waiting_bytes = BEHIND_BYTES + 1
        for number in range(PRINTS_WAITING_MAX + 1):
            streams._hand("trades", "real_time", "A", Trade("A", 10_000, number, AT))
            if number % 1_000 == 0:
                streams._send_all()
        streams._send_all()
        assert slow.over  # type: ignore[attr-defined]
        assert stuck.heard()[-1] == {"T": "error", "code": 407, "msg": "slow client"}
        assert [message["s"] for message in open_wire.heard()] == list(range(PRINTS_WAITING_MAX + 1))

    asyncio.run(play())
