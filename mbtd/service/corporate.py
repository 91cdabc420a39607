"""Methods for corporate actions: ``corporate_action.announce``, ``withdraw`` and ``list``.

Invariants: only the operator and services announce and withdraw; everybody may read what was announced. An answer
leaves when the fact is on disk; every account takes the action in by itself, at its instant or, when it became known
late, within the next moments. Lists are ordered by the date on which an action happens, then by id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta

from actors.book import events as e
from actors.book.units import format_time
from actors.house.commands import AnnounceAction, WithdrawAction
from mbtd.records.money_lines import date_text
from mbtd.rpc.errors import refuse
from mbtd.rpc.session import RequestId, Session
from mbtd.service.desk import Desk, Handler
from mbtd.service.reads import Params

Words = Annotated[tuple[str, ...], Meta(max_length=1_000)]
DateType = Literal["effective_date", "process_date", "declaration_date", "ex_date", "record_date", "payable_date"]
_OWN_WORDS = frozenset({"id", "type"})


class ActionList(Params, frozen=True, kw_only=True):
    """Which actions; of dates both ends are included."""

    ids: Words | None = None
    types: Words | None = None
    symbols: Words | None = None
    cusip: str | None = None
    since: str | None = None
    until: str | None = None
    date_type: DateType = "effective_date"
    withdrawn: bool = True
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 100
    page_token: Annotated[str, Meta(max_length=100)] | None = None


def render_action(known: e.CorporateActionAnnounced) -> dict[str, Any]:
    """An announcement: its words as they were told, and what the house made of them."""
    action = known.action
    return {
        "id": action.ca_id,
        "version": known.version,
        "type": action.type,
        "status": "withdrawn" if action.withdrawn else "announced",
        "announced_at": format_time(known.announced_at),
        "effective_date": date_text(action.effective_date),
        "posts_on": date_text(action.post_date) or None,
        "affects": list(action.symbols),
        "option_roots": dict(action.roots),
        "terms": {name: text for name, text in known.told.items() if name not in _OWN_WORDS},
    }


class Corporate:
    """Answers the methods."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.methods: Mapping[str, tuple[type[Any], Handler]] = {
            "corporate_action.announce": (AnnounceAction, self._announce),
            "corporate_action.withdraw": (WithdrawAction, self._withdraw),
            "corporate_action.list": (ActionList, self._list),
        }

    def _announce(self, session: Session, request_id: RequestId, command: AnnounceAction) -> None:
        self._desk.check_service(session)
        self._desk.tell(session, request_id, command, lambda: self._shown(command.id))

    def _withdraw(self, session: Session, request_id: RequestId, command: WithdrawAction) -> None:
        self._desk.check_service(session)
        self._desk.tell(session, request_id, command, lambda: self._shown(command.id))

    def _shown(self, ca_id: str) -> dict[str, Any]:
        return render_action(self._desk.house.actions.by_id[ca_id])

    def _list(self, session: Session, request_id: RequestId, params: ActionList) -> None:
        found = [known for known in self._desk.house.actions if _wanted(known, params)]
        found.sort(key=_place)
        if params.page_token is not None:
            date, _, ca_id = params.page_token.partition("/")
            if not date.isdigit():
                refuse("invalid_params", "page_token is not one of ours", field="page_token")
            found = [known for known in found if _place(known) > (int(date), ca_id)]
        page = found[: params.limit]
        token = f"{_place(page[-1])[0]}/{_place(page[-1])[1]}" if len(found) > len(page) else None
        items = [render_action(known) for known in page]
        self._desk.reply(session, request_id, {"items": items, "next_page_token": token})


def _place(known: e.CorporateActionAnnounced) -> tuple[int, str]:
    return known.action.effective_date, known.action.ca_id


def _wanted(known: e.CorporateActionAnnounced, params: ActionList) -> bool:
    action, told = known.action, known.told
    if params.ids is not None:
        return action.ca_id in params.ids
    if action.withdrawn and not params.withdrawn:
        return False
    if params.types is not None and action.type not in params.types:
        return False
    if params.symbols is not None and not set(params.symbols).intersection(action.symbols):
        return False
    if params.cusip is not None and params.cusip not in (v for k, v in told.items() if k.endswith("cusip")):
        return False
    date = (
        date_text(action.effective_date) if params.date_type == "effective_date" else told.get(params.date_type, "")
    )
    if params.date_type == "process_date":
        date = date or date_text(action.post_date or action.effective_date)
    if params.since is not None and date < params.since[:10]:
        return False
    return params.until is None or (bool(date) and date <= params.until[:10])
