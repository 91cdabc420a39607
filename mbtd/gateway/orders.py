"""Orders and positions (alpaca-api §1, §2).

Invariants: a submission always goes to the daemon under a client order id, the caller's or one drawn here, so a
repeat after a lost answer does nothing twice; an SDK's repeat of the same body after a 504 gets the same id again.
"""

from __future__ import annotations

import asyncio
import os
import time
from hashlib import blake2b
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from msgspec import Meta, field

from actors.book.units import format_time, parse_time
from mbtd.gateway import schemas as s
from mbtd.gateway.endpoint import Body, Endpoint, Query, Request, read, shape
from mbtd.gateway.errors import ApiError, from_refusal, invalid, not_found, unavailable, unknown_outcome, with_errors
from mbtd.gateway.submission import Submission, present, submission_params
from mbtd.gateway.values import Bool, Number, decimal_text, flag, instant, nothing, text_of, uuid_of, words
from mbtd.rpc.wire import ConnectionLost, NoDaemon, RpcRefusal

SUBMIT_MAX_S: Final = 10.0
UNRESOLVED_MAX: Final = 10_000
UNRESOLVED_S: Final = 120.0


class Replacement(Body, frozen=True, kw_only=True):
    """What of an order changes."""

    qty: Number = field(default_factory=nothing)
    time_in_force: str | None = None
    limit_price: Number = field(default_factory=nothing)
    stop_price: Number = field(default_factory=nothing)
    trail: Number = field(default_factory=nothing)
    client_order_id: str | None = None


class OrdersQuery(Query, frozen=True, kw_only=True):
    """Filters of the list of orders."""

    status: Literal["open", "closed", "all"] = "open"
    limit: Annotated[int, Meta(ge=1, le=500)] = 50
    after: str | None = None
    until: str | None = None
    direction: Literal["asc", "desc"] = "desc"
    nested: Bool = None
    side: Literal["buy", "sell"] | None = None
    symbols: str | None = None
    asset_class: str | None = None
    before_order_id: str | None = None
    after_order_id: str | None = None


class NestedQuery(Query, frozen=True, kw_only=True):
    """Whether children are shown inside."""

    nested: Bool = None


class ByClientId(Query, frozen=True, kw_only=True):
    """An order by its client id."""

    client_order_id: str | None = None


class CloseAllQuery(Query, frozen=True, kw_only=True):
    """Closing of all positions."""

    cancel_orders: Bool = None


class CloseQuery(Query, frozen=True, kw_only=True):
    """Closing of one position."""

    qty: str | None = None
    percentage: str | None = None


class _Unresolved:
    """Submissions whose outcome a client was not told, by account and body."""

    def __init__(self) -> None:
        self._of: dict[bytes, tuple[str, float]] = {}

    def take(self, key: bytes) -> str | None:
        found = self._of.pop(key, None)
        return found[0] if found is not None and time.monotonic() - found[1] < UNRESOLVED_S else None

    def put(self, key: bytes, client_order_id: str) -> None:
        if len(self._of) >= UNRESOLVED_MAX:
            del self._of[next(iter(self._of))]
        self._of[key] = (client_order_id, time.monotonic())


_unresolved = _Unresolved()


def order_of(result: Any) -> s.Order:
    """The daemon's order in Alpaca's shape."""
    order: s.Order = shape(s.Order, result)
    return order


async def submit(request: Request) -> Any:
    """POST /orders."""
    given: Submission = request.body
    params = submission_params(given)
    digest = b"" if given.client_order_id else _digest(request.mark(), params)
    client_order_id = given.client_order_id or _unresolved.take(digest) or _draw()
    try:
        return (await _place(request, params | {"client_order_id": client_order_id})).order
    except ApiError as error:
        if error.status == 504 and not given.client_order_id:
            _unresolved.put(digest, client_order_id)
        raise


def _digest(mark: str, params: dict[str, Any]) -> bytes:
    return blake2b(msgspec.msgpack.encode([mark, params]), digest_size=16).digest()


def _draw() -> str:
    return str(UUID(bytes=os.urandom(16), version=4))


class Placed(msgspec.Struct):
    """The daemon's answer to a submission."""

    order: s.Order


async def _place(request: Request, params: dict[str, Any], method: str = "order.place") -> Placed:
    """Place under a client order id, again under the same one while the outcome is not known."""
    until = time.monotonic() + SUBMIT_MAX_S
    pause_s, sent = 0.05, False
    while True:
        try:
            sent_now, sent = sent, True
            return read(Placed, await request.asker.send(method, params, own=True))
        except RpcRefusal as refusal:
            if refusal.reason not in ("outcome_unknown", "shutting_down"):
                raise from_refusal(refusal.error) from None
        except NoDaemon:
            sent = sent_now
        except (ConnectionLost, TimeoutError):
            pass
        if request.daemon.stopping or time.monotonic() + pause_s > until:
            raise (unknown_outcome() if sent else unavailable()) from None
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, 1.0)


class OrderPage(msgspec.Struct):
    """The daemon's list of orders."""

    items: list[s.Order]


class PositionPage(msgspec.Struct):
    """The daemon's list of positions."""

    items: list[s.Position]
    next_page_token: str | None = None


async def orders(request: Request) -> Any:
    """GET /orders."""
    given: OrdersQuery = request.query
    after, until = instant(given.after, "after"), _before(instant(given.until, "until"))
    if given.before_order_id and given.after_order_id:
        raise invalid("only one of before_order_id and after_order_id is accepted")
    if (given.before_order_id or given.after_order_id) and (after or until):
        raise invalid("before_order_id and after_order_id cannot be combined with after or until")
    if given.before_order_id:
        until = _before((await _by_id(request, given.before_order_id))["submitted_at"])
    if given.after_order_id:
        after = (await _by_id(request, given.after_order_id))["submitted_at"]
    params = present(
        status=given.status,
        symbols=words(given.symbols),
        side=given.side,
        asset_classes=words(given.asset_class),
        after=after,
        until=until,
        direction=given.direction,
        limit=given.limit,
        nested=True if flag(given.nested) else None,
    )
    return (await request.read(OrderPage, "order.list", **params)).items


def _before(until: str | None) -> str | None:
    """Alpaca's ``until`` leaves the instant itself out; the daemon's takes it in."""
    if until is None:
        return None
    return format_time(parse_time(until) - 1)


async def _by_id(request: Request, order_id: str) -> Any:
    message = f"order not found for {order_id[:64]}"
    return await request.call("order.get", order_id=uuid_of(order_id, message))


async def order_by_id(request: Request) -> Any:
    """GET /orders/{order_id}."""
    return order_of(await _by_id(request, request.path["order_id"]))


async def order_by_client_id(request: Request) -> Any:
    """GET /orders:by_client_order_id."""
    if not request.query.client_order_id:
        raise invalid("client_order_id is missing")
    return order_of(await request.call("order.get", client_order_id=request.query.client_order_id))


async def replace(request: Request) -> Any:
    """PATCH /orders/{order_id}."""
    given: Replacement = request.body
    order_id = uuid_of(request.path["order_id"], f"order not found for {request.path['order_id'][:64]}")
    params = {name: text_of(getattr(given, name), name) for name in ("qty", "limit_price", "stop_price", "trail")}
    changed = present(
        **params, time_in_force=given.time_in_force or None, client_order_id=given.client_order_id or None
    )
    try:
        return order_of(await request.call("order.replace", order_id=order_id, **changed))
    except ApiError as error:
        raise await _ended(request, order_id, error) from None


async def cancel_all(request: Request) -> Any:
    """DELETE /orders."""
    return with_errors(shape(list[s.CanceledOrder], await request.call("order.cancel_all")))


async def cancel(request: Request) -> Any:
    """DELETE /orders/{order_id}."""
    order_id = uuid_of(request.path["order_id"], f"order not found for {request.path['order_id'][:64]}")
    try:
        await request.call("order.cancel", order_id=order_id)
    except ApiError as error:
        raise await _ended(request, order_id, error) from None


async def _ended(request: Request, order_id: str, error: ApiError) -> ApiError:
    """For an order that is not live any more, what became of it (alpaca-api §2.9); else the error as it is."""
    if error.status != 404:
        return error
    found = await request.call("order.get", order_id=order_id)
    return ApiError(422, 42210000, f'order is already in "{found["status"]}" state')


# ── positions ────────────────────────────────────────────────────────────────────────────────────────────


async def symbol_of(request: Request, missing: str) -> str:
    """The path's symbol; an asset id is looked up. Raises 404."""
    given = request.path["symbol"]
    if len(given) != 36:
        return given
    try:
        asset = await request.ask("asset.get", symbol=given)
    except ApiError:
        raise not_found(missing) from None
    return str(asset["symbol"])


_NO_POSITION = "position does not exist"


async def positions(request: Request) -> Any:
    """GET /positions."""
    items: list[s.Position] = []
    token = None
    while True:
        found = await request.read(PositionPage, "position.list", **present(page_token=token))
        items += found.items
        token = found.next_page_token
        if token is None:
            return items


async def position(request: Request) -> Any:
    """GET /positions/{symbol}."""
    symbol = await symbol_of(request, _NO_POSITION)
    return shape(s.Position, await request.call("position.get", symbol=symbol))


async def close_position(request: Request) -> Any:
    """DELETE /positions/{symbol}."""
    given: CloseQuery = request.query
    if given.qty is not None and given.percentage is not None:
        raise invalid("only one of qty or percentage is accepted")
    params = present(
        symbol=await symbol_of(request, _NO_POSITION),
        qty=decimal_text(given.qty, "qty") if given.qty is not None else None,
        percentage=decimal_text(given.percentage, "percentage") if given.percentage is not None else None,
    )
    return (await _place(request, params | {"client_order_id": _draw()}, "position.close")).order


async def close_all(request: Request) -> Any:
    """DELETE /positions."""
    params = {"cancel_orders": True} if flag(request.query.cancel_orders) else {}
    found = await request.call("position.close_all", **params)
    entries = found["items"] if isinstance(found, dict) else found
    closed: list[s.ClosedPosition] = with_errors(shape(list[s.ClosedPosition], entries))
    for entry in closed:
        if entry.status == 200 and entry.body is not None:
            entry.body = msgspec.to_builtins(order_of(entry.body))
    return closed


async def exercise(request: Request) -> Any:
    """POST /positions/{symbol}/exercise."""
    await request.call("position.exercise", symbol=await symbol_of(request, _NO_POSITION))


async def do_not_exercise(request: Request) -> Any:
    """POST /positions/{symbol}/do-not-exercise."""
    await request.call("position.do_not_exercise", symbol=await symbol_of(request, _NO_POSITION))


class Anything(Body, frozen=True, kw_only=True):
    """A body without meaning: absent, null or an object."""

    ignored: msgspec.Raw = field(default_factory=nothing)


ENDPOINTS: Final = (
    Endpoint(method="POST", path="/v2/orders", handler=submit, body=Submission, answer=s.Order,
             summary="Submit an order"),
    Endpoint(method="GET", path="/v2/orders", handler=orders, query=OrdersQuery, answer=list[s.Order],
             summary="List orders"),
    Endpoint(method="DELETE", path="/v2/orders", handler=cancel_all, answer=list[s.CanceledOrder], status=207,
             summary="Cancel all orders"),
    Endpoint(method="GET", path="/v2/orders:by_client_order_id", handler=order_by_client_id, query=ByClientId,
             answer=s.Order, summary="An order by its client id"),
    Endpoint(method="GET", path="/v2/orders/{order_id}", handler=order_by_id, query=NestedQuery, answer=s.Order,
             summary="An order"),
    Endpoint(method="PATCH", path="/v2/orders/{order_id}", handler=replace, body=Replacement, answer=s.Order,
             summary="Replace an order"),
    Endpoint(method="DELETE", path="/v2/orders/{order_id}", handler=cancel, status=204, summary="Cancel an order"),
    Endpoint(method="GET", path="/v2/positions", handler=positions, answer=list[s.Position], summary="Positions"),
    Endpoint(method="DELETE", path="/v2/positions", handler=close_all, query=CloseAllQuery,
             answer=list[s.ClosedPosition], status=207, summary="Close all positions"),
    Endpoint(method="GET", path="/v2/positions/{symbol}", handler=position, answer=s.Position, summary="A position"),
    Endpoint(method="DELETE", path="/v2/positions/{symbol}", handler=close_position, query=CloseQuery, answer=s.Order,
             summary="Close a position"),
    Endpoint(method="POST", path="/v2/positions/{symbol}/exercise", handler=exercise, body=Anything,
             summary="Exercise a contract"),
    Endpoint(method="POST", path="/v2/positions/{symbol}/do-not-exercise", handler=do_not_exercise, body=Anything,
             summary="Do not exercise a contract at expiry"),
)  # fmt: skip
