"""Reference data survives a restart, shows its age, and is not lost to a source that fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest
import trio

from actors.book.instruments import Instrument
from mbtd.market import reference
from mbtd.market.assets import asset_id
from mbtd.market.reference import FixedReference, Listed, MetaStore, Reference, ReferenceCache, ReferenceKeeper


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
    assert await cache.keep(Listed([stock("B"), stock("A", 5)], {"A": ("ipo",)}), now=40) == [
        stock("A", 5),
        stock("B"),
    ]
    again: Reference = ReferenceCache(store, "alpaca")
    assert isinstance(again, ReferenceCache)
    assert await again.load()
    assert list(again.instruments) == [stock("A", 5), stock("B")]
    assert again.attributes == {"A": ("ipo",)}
    assert (again.age_ns(50), again.problem) == (10, "")
    assert not await ReferenceCache(store, "other").load()


@pytest.mark.trio
async def test_refresh_names_what_changed() -> None:
    cache = ReferenceCache(Store(), "alpaca")
    await cache.keep(Listed([stock("A"), stock("B"), stock("C")]), now=1)

    async def load() -> Listed:
        return Listed([stock("D"), stock("A"), stock("B", 7)], {"D": ("ipo",)})

    changed = await cache.refresh(load, now=2)
    gone = msgspec.structs.replace(stock("C"), active=False, tradable=False)
    assert changed == [stock("B", 7), stock("D"), gone]
    assert [instrument.symbol for instrument in cache.instruments] == ["A", "B", "D"]
    assert (cache.as_of, cache.attributes) == (2, {"D": ("ipo",)})


@pytest.mark.trio
async def test_a_failing_source_leaves_what_is_known() -> None:
    cache = ReferenceCache(Store(), "alpaca")
    await cache.keep(Listed([stock("A")], {"A": ("ipo",)}), now=1)

    async def fails() -> Listed:
        raise OSError("no route")

    async def empty() -> Listed:
        return Listed([])

    with pytest.raises(OSError, match="no route"):
        await cache.refresh(fails, now=2)
    assert cache.problem == "alpaca did not answer: no route"
    assert await cache.refresh(empty, now=3) == []
    assert cache.problem == "alpaca answered with no instrument at all"
    assert (list(cache.instruments), cache.as_of, cache.attributes) == ([stock("A")], 1, {"A": ("ipo",)})


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


class Readings:
    """A stand-in for the daemon's store."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}

    def meta(self, key: str) -> bytes | None:
        return self.values.get(key)

    def close(self) -> None:
        pass

    def put(self, key: str, value: bytes) -> None:
        self.values[key] = value


@pytest.mark.trio
async def test_named_values_of_the_store_keep_bytes_and_time() -> None:
    readings = Readings()
    store = MetaStore(lambda: readings, readings.put)
    assert await store.get("alpaca") is None
    await store.put("alpaca", b"x" * 5_000, 1_760_000_000_123_456_789)
    assert await store.get("alpaca") == (b"x" * 5_000, 1_760_000_000_123_456_789)
    (key,) = readings.values
    assert len(readings.values[key]) < 200
    readings.values[key] = readings.values[key][:20]
    cache = ReferenceCache(store, "alpaca")
    assert not await cache.load()
    assert "cannot be read" in cache.problem


class World:
    """A source that can fail, a clock that trio moves, and who is told."""

    def __init__(self) -> None:
        self.answers: list[Sequence[Instrument] | Exception] = []
        self.asked: list[tuple[float, int]] = []
        self.pushed: list[Instrument] = []
        self.marked: list[Mapping[str, tuple[str, ...]]] = []
        self.partial = ""
        self.trade_date = 20261124

    def now(self) -> int:
        return round(trio.current_time() * 1e9) + 1

    async def load(self, _known: Sequence[Instrument], trade_date: int) -> Listed:
        self.asked.append((round(trio.current_time()), trade_date))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return Listed(answer, {answer[0].symbol: ("ipo",)}, self.partial)

    def push_reference(self, instruments: Sequence[Instrument]) -> None:
        self.pushed += instruments

    def keeper(self, interval_s: float = 86_400) -> ReferenceKeeper:
        return ReferenceKeeper(
            "alpaca",
            self.load,
            lambda _instruments: None,
            self.marked.append,
            now=self.now,
            trade_date=lambda: self.trade_date,
            interval_s=interval_s,
        )


@pytest.mark.trio
async def test_a_failing_source_is_tried_again_ever_more_rarely(autojump_clock: Any) -> None:
    world, store = World(), Store()
    world.answers = [OSError("down")] * 4 + [[stock("A")]]
    keeper = world.keeper()
    await keeper.begin(store, world)
    assert (keeper.problem, keeper.age_s()) == ("not loaded yet", None)
    heard: list[str] = []
    with trio.move_on_after(1_000):
        await keeper.run(world, heard.append)
    assert [at for at, _ in world.asked] == [0, 30, 90, 210, 450]
    assert heard == ["alpaca did not answer: down"] * 4 + [""]
    assert (world.pushed, keeper.age_s()) == ([stock("A")], 550)
    again = World()
    again.answers = [OSError("still down")]
    restarted = again.keeper()
    await restarted.begin(store, again)
    assert (again.pushed, restarted.problem, restarted.age_s()) == ([stock("A")], "", 550)
    assert again.marked == world.marked == [{"A": ("ipo",)}]
    with trio.move_on_after(10):
        await restarted.run(again)
    assert (restarted.problem, restarted.age_s()) == ("alpaca did not answer: still down", 560)


@pytest.mark.trio
async def test_a_new_trade_date_and_the_interval_make_the_data_old(autojump_clock: Any) -> None:
    world = World()
    world.answers = [[stock("A")]]
    keeper = world.keeper()
    await keeper.begin(Store(), world)
    with trio.move_on_after(100_000):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keeper.run, world)
            await trio.sleep(3_590)
            world.trade_date = 20261125
            await trio.sleep_forever()
    assert world.asked[:2] == [(0, 20261124), (3_600, 20261125)]
    assert [at for at, _ in world.asked[2:]] == [90_000]
    assert keeper.refreshes == 3


@pytest.mark.trio
async def test_a_part_that_failed_is_named_and_tried_again(autojump_clock: Any) -> None:
    world = World()
    world.answers, world.partial = [[stock("A")]], "previous closes: down"
    keeper = world.keeper()
    await keeper.begin(Store(), world)
    with trio.move_on_after(40):
        await keeper.run(world)
    assert (keeper.problem, len(world.asked), world.pushed) == ("previous closes: down", 2, [stock("A")])


@pytest.mark.trio
async def test_what_is_too_large_to_keep_is_used_all_the_same(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "KEPT_BYTES_MAX", 20)
    world, readings = World(), Readings()
    world.answers = [[stock("A")]]
    keeper = world.keeper()
    await keeper.begin(MetaStore(lambda: readings, readings.put), world)
    with trio.move_on_after(10):
        await keeper.run(world)
    assert (world.pushed, readings.values) == ([stock("A")], {})
    assert "too many" in keeper.problem
