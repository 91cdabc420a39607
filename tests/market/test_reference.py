"""Reference data survives a restart, shows its age, and is not lost to a source that fails."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import pytest

from actors.book.instruments import Instrument
from mbtd.market.assets import asset_id
from mbtd.market.reference import FixedReference, Reference, ReferenceCache


class Store:
    def __init__(self) -> None:
        self.kept: dict[str, tuple[bytes, int]] = {}

    async def get(self, name: str) -> tuple[bytes, int] | None:
        return self.kept.get(name)

    async def put(self, name: str, body: bytes, at: int) -> None:
        self.kept[name] = (body, at)


def stock(symbol: str, previous_close: int = 0) -> Instrument:
    return Instrument(asset_id(symbol), symbol, previous_close=previous_close)


@pytest.mark.trio
async def test_what_is_kept_comes_back_with_its_age() -> None:
    store = Store()
    cache = ReferenceCache(store, "alpaca")
    assert not await cache.load()
    assert (cache.age_ns(50), cache.problem) == (None, "nothing is stored")
    assert await cache.keep([stock("B"), stock("A", 5)], now=40) == [stock("A", 5), stock("B")]
    again: Reference = ReferenceCache(store, "alpaca")
    assert isinstance(again, ReferenceCache)
    assert await again.load()
    assert list(again.instruments) == [stock("A", 5), stock("B")]
    assert (again.age_ns(50), again.problem) == (10, "")
    assert not await ReferenceCache(store, "other").load()


@pytest.mark.trio
async def test_refresh_names_what_changed() -> None:
    cache = ReferenceCache(Store(), "alpaca")
    await cache.keep([stock("A"), stock("B"), stock("C")], now=1)

    async def load() -> Iterable[Instrument]:
        return [stock("D"), stock("A"), stock("B", 7)]

    changed = await cache.refresh(load, now=2)
    gone = msgspec.structs.replace(stock("C"), active=False, tradable=False)
    assert changed == [stock("B", 7), stock("D"), gone]
    assert [instrument.symbol for instrument in cache.instruments] == ["A", "B", "D"]
    assert cache.as_of == 2


@pytest.mark.trio
async def test_a_failing_source_leaves_what_is_known() -> None:
    cache = ReferenceCache(Store(), "alpaca")
    await cache.keep([stock("A")], now=1)

    async def fails() -> Iterable[Instrument]:
        raise OSError("no route")

    async def empty() -> Iterable[Instrument]:
        return []

    with pytest.raises(OSError, match="no route"):
        await cache.refresh(fails, now=2)
    assert cache.problem == "alpaca did not answer: no route"
    assert await cache.refresh(empty, now=3) == []
    assert cache.problem == "alpaca answered with no instrument at all"
    assert (list(cache.instruments), cache.as_of) == ([stock("A")], 1)


@pytest.mark.trio
@pytest.mark.parametrize(
    ("body", "problem"), [(b"\xc1", "cannot be read"), (msgspec.msgpack.encode([9, []]), "version 9")]
)
async def test_unreadable_bytes_are_as_good_as_none(body: bytes, problem: str) -> None:
    store = Store()
    store.kept["alpaca"] = (body, 1)
    cache = ReferenceCache(store, "alpaca")
    assert not await cache.load()
    assert problem in cache.problem
    assert not cache.instruments


def test_a_source_of_its_own_is_sorted_and_unique() -> None:
    fixed: Reference = FixedReference.of([stock("B"), stock("A"), stock("B", 3)], as_of=9)
    assert list(fixed.instruments) == [stock("A"), stock("B", 3)]
    assert fixed.as_of == 9
