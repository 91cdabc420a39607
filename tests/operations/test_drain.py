"""An operator's drain is over when no request waits any more, a parked one included."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from actors.mailbox import Mailroom
from mbtd.console import admin
from mbtd.console.admin import Admin


def test_a_drain_waits_for_what_waits_for_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "DRAIN_POLL_S", 0)
    room = Mailroom()
    room.put(1, lambda: None)
    taken = room.take()
    assert taken is not None
    room.park(*taken)
    running = SimpleNamespace(app=SimpleNamespace(stopping=False), core=SimpleNamespace(mailroom=room))

    async def drained() -> Any:
        drain = asyncio.ensure_future(Admin._drain(cast(Admin, SimpleNamespace(_on=running)), cast(Any, None), None))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not drain.done()
        room.unpark(1)
        room.take()
        return await drain

    assert asyncio.run(drained()) == {"draining": True, "waiting": 0}
    assert running.app.stopping
