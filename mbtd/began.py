"""What a run of the daemon began with, by value in its journal: nothing of a later day or another setting is needed
to decide it anew.

Invariants: written once a start, as the first step of the run's first group, so a start after which nothing happened
leaves nothing. Later changes of reference data, and accounts that come and go, are steps of their own. Known limit:
the calendar's days and the rules themselves are the program's, not the journal's.
"""

from __future__ import annotations

import zlib
from typing import Final

import msgspec
from msgspec import Struct

from actors.book.instruments import Instrument
from actors.book.rules.matching.profiles import BUILT_IN, Profile, Profiles
from actors.book.rules.money.interest import Rates
from actors.engine import Engine
from actors.house.decide import Defaults
from actors.inputs import StartInput
from mbtd.market.assets import contracts_by_symbol
from mbtd.market.calendar import Calendar, TradeDays

LEVEL: Final = 1


class Began(Struct, frozen=True, array_like=True):
    """Settings and instruments. Append-only."""

    profiles: tuple[Profile, ...]
    """Those that are not built in."""
    defaults: Defaults
    rates: Rates
    feed: str
    data_class: str
    instruments: tuple[Instrument, ...]
    always_open: bool = False
    looks_later: bool = False
    """Whether margin that needs long searches was looked at in turns of their own."""

    def known(self) -> Profiles:
        """The fill profiles that the run knew."""
        return Profiles({profile.name: msgspec.structs.asdict(profile) for profile in self.profiles})


def began_with(engine: Engine) -> bytes:
    """What a fresh engine stands on, before anything is put back into it."""
    profiles = engine.profiles
    custom = (profiles.get(name) for name in profiles.names() if name not in BUILT_IN)
    world = engine.world
    began = Began(
        tuple(profile for profile in custom if profile is not None),
        engine.defaults,
        world.rates,
        world.feed,
        world.data_class,
        tuple(world.instruments.by_symbol.values()),
        isinstance(world.days, TradeDays) and world.days.always_open,
        world.looks is not None,
    )
    return zlib.compress(msgspec.msgpack.encode(began), LEVEL)


def read_began(body: bytes) -> Began:
    """The other way."""
    return msgspec.msgpack.decode(zlib.decompress(body), type=Began)


def made_with(began: Began, seed: bytes) -> Engine:
    """A fresh engine that stands on the same."""
    calendar = Calendar(always_open=began.always_open)
    engine = Engine(seed, began.known(), began.defaults, began.instruments, TradeDays(calendar), began.rates)
    engine.world.feed, engine.world.data_class = began.feed, began.data_class
    engine.world.describe = contracts_by_symbol(calendar)
    engine.world.looks = {} if began.looks_later else None
    return engine


def begin(engine: Engine, began: bytes) -> None:
    """Say in the journal that the engine begins here, with the books that were put back."""
    engine.take_steps()  # who was let go since the recovery is none of them
    engine.note_ground(StartInput(tuple(sorted(engine.books)), began))
