"""What a corporate action made of an order, in words and numbers: which action, when, the figures before and after.

Invariants: the figures before and after are those of the facts of that moment; what the house knows of the action
(kind, date, terms) is its newest version, with its number. What retention has forgotten is left out, never guessed.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

import msgspec

from actors.book import events as e
from actors.book.units import format_money, format_price, format_qty, format_scaled
from actors.market.actions import Actions
from mbtd.records.money_lines import date_text
from mbtd.records.orders import OrderRecord
from mbtd.records.projection import decode_order
from storage.history import History, Values

Json = dict[str, Any]
_N: Final = 1
_AT: Final = 3
_BODY: Final = -1
_POSITIONS_MAX: Final = 200
_end = msgspec.msgpack.Decoder(e.OrderReplaced | e.OrderCanceled)
_position = msgspec.msgpack.Decoder(e.PositionAdjusted)
_BY_RATIO: Final = ("forward_split", "reverse_split", "stock_dividend", "spin_off", "stock_merger")


async def actions_of(history: History, known: Actions, account_no: int, record: OrderRecord) -> list[Json]:
    """The action that made an order and the one that ended it, as far as there are such."""
    told = []
    if record.terms.replaces:
        row = await history.order(account_no, record.terms.replaces)
        before = decode_order(row[_BODY]) if row is not None else record
        if before.ca_id:
            told.append(await _told(history, known, account_no, before))
    if record.ca_id:
        told.append(await _told(history, known, account_no, record))
    return told


async def _told(history: History, known: Actions, account_no: int, old: OrderRecord) -> Json:
    """What an action made of the order ``old``."""
    ended = await _end_of(history, account_no, old.terms.order_no)
    new, positions = None, []
    if ended is not None:
        event = _end.decode(ended[_BODY])
        new = event.terms if isinstance(event, e.OrderReplaced) else None
        positions = await _positions(history, account_no, old.ca_id, ended)
    told = {
        **_action(known, old.ca_id),
        "order": {"before": _order(old.terms), "after": _order(new) if new is not None else None},
        "positions": positions,
    }
    return told | {"explanation": _sentence(told, old)}


async def _end_of(history: History, account_no: int, order_no: int) -> Values | None:
    """The archived fact that ended an order by an action, unless retention has dropped it."""
    ends = [row for row in await history.order_events(account_no, order_no) if row[4] in ("os", "oc")]
    return ends[-1] if ends else None


async def _positions(history: History, account_no: int, ca_id: str, ended: Values) -> list[Json]:
    """What the same step did to positions before it came to the order."""
    rows = await history.events_of(account_no, ("pa",), ended[_AT] - 1, ended[_N], _POSITIONS_MAX)
    facts = [_position.decode(row[_BODY]) for row in reversed(rows) if row[_AT] == ended[_AT]]
    return [
        {
            "symbol": fact.symbol,
            "qty_before": format_qty(fact.qty - fact.qty_change),
            "qty_after": format_qty(fact.qty),
            "cost_basis": format_money(fact.basis_money),
        }
        for fact in facts
        if fact.ca_id == ca_id
    ]


def _action(known: Actions, ca_id: str) -> Json:
    """The action, by the newest that the house was told."""
    told = known.by_id.get(ca_id)
    if told is None:
        return {"ca_id": ca_id}
    action = told.action
    name = next((name for name in ("ex_date", "effective_date", "process_date") if told.told.get(name)), "ex_date")
    return {
        "ca_id": ca_id,
        "type": action.type,
        "symbol": action.symbol,
        name: date_text(action.effective_date),
        "called": called(action),
        "version": told.version,
        "withdrawn": action.withdrawn,
    }


def called(action: e.CorporateAction) -> str:
    """An action as people name it: ``4:1 forward split of AAPL``."""
    kind = action.type.replace("_", " ")
    cash = Fraction(*action.cash) + Fraction(*action.cash_more)
    if action.type == "name_change":
        return f"{kind} of {action.symbol} to {action.legs[0].symbol}"
    if action.type in _BY_RATIO:
        ratio = Fraction(*action.legs[0].ratio)
        if action.type == "stock_dividend":
            ratio -= 1
        kind = f"{ratio.numerator}:{ratio.denominator} {kind}"
    if cash:
        kind += f" of {format_scaled(round(cash * 10**9), 9)} a share"
        return f"{kind} on {action.symbol}"
    return f"{kind} of {action.symbol}"


def _order(terms: e.OrderAccepted) -> Json:
    return {
        "order_id": terms.order_id,
        "symbol": terms.symbol,
        "qty": format_qty(terms.qty) if terms.qty else None,
        "limit_price": format_price(terms.limit_price) if terms.limit_price else None,
        "stop_price": format_price(terms.stop_price) if terms.stop_price else None,
    }


def _sentence(told: Json, old: OrderRecord) -> str:
    if "type" not in told:
        what = f"Corporate action {told['ca_id']} happened"
    elif "ex_date" in told:
        what = f"The {told['called']} ({told['ca_id']}) went ex on {told['ex_date']}"
    else:
        date = told.get("effective_date") or told.get("process_date")
        what = f"The {told['called']} ({told['ca_id']}) took effect on {date}"
    before, after = told["order"]["before"], told["order"]["after"]
    if after is not None:
        text = f"{what}: {_figures(before)} (order {before['order_id']}) became {_figures(after)} "
        text += f"(order {after['order_id']})."
    elif old.status == "replaced":
        text = f"{what} and put order {old.replaced_by} in its place."
    else:
        text = f"{what}; by the account's rules for resting orders (action_orders) it did not go on over it."
    moved = [
        f"{each['qty_before']} {each['symbol']} held became {each['qty_after']}"
        for each in told["positions"]
        if each["qty_before"] != each["qty_after"]
    ]
    if moved:
        text += f" {', '.join(moved)}."
    if told.get("withdrawn"):
        text += " The action was withdrawn later."
    return text


def _figures(order: Json) -> str:
    text = " ".join(part for part in (order["qty"], order["symbol"]) if part) or "the order"
    if order["limit_price"]:
        text += f" at a limit of {order['limit_price']}"
    if order["stop_price"]:
        text += f" with a stop of {order['stop_price']}"
    return text
