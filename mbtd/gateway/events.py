"""``GET /v2beta1/events/activities``: activities as they are booked, as server-sent events (alpaca-api §1).

Invariants: every look for news carries the credentials again, so that nothing is told after a revocation; events
leave in the order of their ids, none twice; a client names the last id it saw (``since_id``) and goes on behind it,
whatever was restarted meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from mbtd.gateway import schemas as s
from mbtd.gateway.corporate import naming_actions
from mbtd.gateway.endpoint import Answer, Endpoint, Query, Request, shape
from mbtd.gateway.errors import ApiError, invalid
from mbtd.gateway.sockets import CONNECTIONS_MAX
from mbtd.gateway.values import instant

LOOK_EVERY_S: Final = 0.5
BEAT_EVERY_S: Final = 15.0
PAGE: Final = 100
_encode = msgspec.json.Encoder().encode
_open: Counter[str] = Counter()
"""Streams by account."""
Id = Annotated[str, Meta(max_length=128)] | None


class EventsQuery(Query, frozen=True, kw_only=True):
    """From where and to where; without a beginning from now on, without an end for ever."""

    since: str | None = None
    until: str | None = None
    since_id: Id = None
    until_id: Id = None


async def activity_events(request: Request) -> Any:
    """GET /v2beta1/events/activities."""
    given: EventsQuery = request.query
    since, until = instant(given.since, "since"), instant(given.until, "until", end_of_day=True)
    if since is not None and given.since_id is not None:
        raise invalid("only one of since and since_id is accepted")
    if until is not None and given.until_id is not None:
        raise invalid("only one of until and until_id is accepted")
    who = await request.who()
    if _open[who.account] >= CONNECTIONS_MAX.get(who.tier, 0):
        raise ApiError(429, 42910000, "too many event streams are open")
    last = given.since_id
    if last is None and since is None and until is None and given.until_id is None:
        newest = await request.call("activity.list", direction="desc", limit=1)
        last = newest["items"][0]["id"] if newest["items"] else None
    elif last is not None:
        await request.call("activity.list", direction="asc", limit=1, page_token=last)
    return Answer(None, stream=_events(request, who.account, since, until, last, given.until_id))


async def _events(
    request: Request, account: str, since: str | None, until: str | None, last: str | None, until_id: str | None
) -> AsyncGenerator[bytes, None]:
    _open[account] += 1
    loop = asyncio.get_running_loop()
    beat_at = loop.time() + BEAT_EVERY_S
    try:
        yield b": connected\n\n"
        while True:
            params: dict[str, Any] = {"after": since if last is None else None, "until": until, "page_token": last}
            try:
                found = await request.again("activity.list", direction="asc", limit=PAGE, **params)
            except ApiError as error:
                if error.status < 500:
                    return
                found = {"items": []}
            for row in naming_actions(found["items"]):
                last = row["id"]
                yield b"id: %b\ndata: %b\n\n" % (row["id"].encode(), _encode(shape(s.Activity, row)))
                if last == until_id:
                    return
            if len(found["items"]) == PAGE:
                continue
            if until is not None and (await request.again("clock.get", own=False))["timestamp"] > until:
                return
            if loop.time() > beat_at:
                beat_at = loop.time() + BEAT_EVERY_S
                yield b": heartbeat\n\n"
            await asyncio.sleep(LOOK_EVERY_S)
    finally:
        _open[account] -= 1


ENDPOINTS: Final = (
    Endpoint(method="GET", path="/v2beta1/events/activities", handler=activity_events, query=EventsQuery,
             answer=str, media="text/event-stream", summary="Activities as they are booked, as server-sent events"),
)  # fmt: skip
