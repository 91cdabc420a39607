"""Corporate actions as Alpaca shows them: announcements (alpaca-api §4.9) and ``/v1/corporate-actions`` (§5.6).

Invariants: what is shown is what the operator announced, in Alpaca's words; withdrawn actions are not shown. An id is
the announced one where it is a UUID, else one derived from it, so that clients that read UUIDs can read it. Keys that
Alpaca's own client requires are always there.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, Any, Final, Literal
from uuid import NAMESPACE_URL, UUID, uuid5

from msgspec import Meta

from mbtd.gateway import schemas as s
from mbtd.gateway import schemas_data as sd
from mbtd.gateway.endpoint import Endpoint, Query, Request, shape
from mbtd.gateway.errors import invalid, not_found
from mbtd.gateway.values import day, words

WINDOW_MAX_DAYS: Final = 90
PAGE_MAX: Final = 1_000
_KINDS: Final[dict[str, tuple[str, str]]] = {
    "cash_dividend": ("dividend", "cash"),
    "capital_gains_distribution": ("dividend", "cash"),
    "stock_dividend": ("dividend", "stock"),
    "cash_merger": ("merger", "merger_completion"),
    "stock_merger": ("merger", "merger_completion"),
    "stock_and_cash_merger": ("merger", "merger_completion"),
    "spin_off": ("spinoff", "spinoff"),
    "forward_split": ("split", "stock_split"),
    "reverse_split": ("split", "reverse_split"),
    "unit_split": ("split", "unit_split"),
    "reorganization": ("split", "recapitalization"),
}
"""Type and subtype of an announcement; other actions have none."""
_REQUIRED: Final[dict[str, tuple[str, ...]]] = {
    "forward_split": ("symbol", "cusip", "new_rate", "old_rate", "ex_date"),
    "reverse_split": ("symbol", "old_cusip", "new_cusip", "new_rate", "old_rate", "ex_date"),
    "unit_split": (
        "old_symbol", "old_cusip", "old_rate", "new_symbol", "new_cusip", "new_rate", "alternate_symbol",
        "alternate_cusip", "alternate_rate", "effective_date",
    ),
    "stock_dividend": ("symbol", "cusip", "rate", "ex_date"),
    "cash_dividend": ("symbol", "cusip", "rate", "special", "foreign", "ex_date"),
    "capital_gains_distribution": ("symbol", "cusip", "ex_date"),
    "spin_off": ("source_symbol", "source_cusip", "source_rate", "new_symbol", "new_cusip", "new_rate", "ex_date"),
    "cash_merger": ("acquiree_symbol", "acquiree_cusip", "rate", "effective_date"),
    "stock_merger": (
        "acquirer_symbol", "acquirer_cusip", "acquirer_rate", "acquiree_symbol", "acquiree_cusip", "acquiree_rate",
        "effective_date",
    ),
    "stock_and_cash_merger": (
        "acquirer_symbol", "acquirer_cusip", "acquirer_rate", "acquiree_symbol", "acquiree_cusip", "acquiree_rate",
        "cash_rate", "effective_date",
    ),
    "reorganization": ("symbol", "effective_date"),
    "redemption": ("symbol", "cusip", "rate"),
    "name_change": ("old_symbol", "old_cusip", "new_symbol", "new_cusip"),
    "worthless_removal": ("symbol", "cusip"),
    "rights_distribution": ("source_symbol", "source_cusip", "new_symbol", "new_cusip", "rate", "ex_date"),
}  # fmt: skip
"""What every row of a kind has, besides ``id`` and ``process_date``."""
_ONES: Final = frozenset({"source_rate", "acquiree_rate", "old_rate"})
_CUSIP_OF: Final = frozenset({"acquiree_cusip", "source_cusip", "old_cusip", "cusip"})


class AnnouncementsQuery(Query, frozen=True, kw_only=True):
    """Which announcements."""

    ca_types: str | None = None
    since: str | None = None
    until: str | None = None
    symbol: str | None = None
    cusip: str | None = None
    date_type: Literal["declaration_date", "ex_date", "record_date", "payable_date"] | None = None


class ActionsQuery(Query, frozen=True, kw_only=True):
    """Which corporate actions."""

    symbols: str | None = None
    cusips: str | None = None
    types: str | None = None
    region: str | None = None
    start: str | None = None
    end: str | None = None
    ids: str | None = None
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 100
    page_token: Annotated[str, Meta(max_length=128)] | None = None
    sort: Literal["asc", "desc"] = "asc"


def shown_id(ca_id: str) -> str:
    """An action's id as a UUID text."""
    try:
        return str(UUID(ca_id))
    except ValueError:
        return str(uuid5(NAMESPACE_URL, f"mbtd:corporate-action:{ca_id}"))


def naming_actions(activities: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Activities with the ids of their actions as announcements show them."""
    return [row | {"ca_id": shown_id(row["ca_id"])} if row.get("ca_id") else row for row in activities]


async def _known(request: Request, **params: Any) -> list[dict[str, Any]]:
    """Everything that was announced and not withdrawn, by date."""
    items: list[dict[str, Any]] = []
    token = None
    while True:
        more: dict[str, Any] = {"page_token": token} if token is not None else {}
        page = await request.ask("corporate_action.list", withdrawn=False, limit=PAGE_MAX, **params, **more)
        items += page["items"]
        token = page["next_page_token"]
        if token is None:
            return [item for item in items if item["status"] != "withdrawn"]


# ── announcements ────────────────────────────────────────────────────────────────────────────────────────


async def announcements(request: Request) -> Any:
    """GET /corporate_actions/announcements."""
    given: AnnouncementsQuery = request.query
    kinds = words(given.ca_types)
    if kinds is None or not {kind for kind, _ in _KINDS.values()}.issuperset(kinds):
        raise invalid("ca_types is invalid, it lists dividend, merger, spinoff or split")
    since, until = day(given.since, "since"), day(given.until, "until")
    if since is None or until is None:
        raise invalid("invalid param: both since & until required")
    if not timedelta(0) <= until - since <= timedelta(days=WINDOW_MAX_DAYS):
        raise invalid("the window from since to until must be from 0 to 90 days")
    params: dict[str, Any] = {
        "types": [name for name, (kind, _) in _KINDS.items() if kind in kinds],
        "since": since.isoformat(),
        "until": until.isoformat(),
        "date_type": given.date_type or "effective_date",
    }
    if given.cusip is not None:
        params["cusip"] = given.cusip
    found = [_announcement(item) for item in await _known(request, **params)]
    return shape(list[s.Announcement], [a for a in found if given.symbol in (None, a["initiating_symbol"])])


async def announcement(request: Request) -> Any:
    """GET /corporate_actions/announcements/{announcement_id}."""
    wanted = request.path["announcement_id"]
    for item in await _known(request, types=list(_KINDS)):
        if wanted in (item["id"], shown_id(item["id"])):
            return shape(s.Announcement, _announcement(item))
    raise not_found("announcement not found")


def _announcement(item: dict[str, Any]) -> dict[str, Any]:
    told = item["terms"]
    kind, sub_type = _KINDS[item["type"]]
    source, *others = item["affects"]
    old, new = told.get("old_rate"), told.get("new_rate")
    if item["type"] == "spin_off":
        old = told.get("source_rate", "1")
    elif item["type"] in ("stock_merger", "stock_and_cash_merger"):
        old, new = told.get("acquiree_rate", "1"), told.get("acquirer_rate")
    elif item["type"] == "stock_dividend":
        old, new = "1", told.get("rate")
    cash = told.get("cash_rate") or (told.get("rate") if item["type"] in ("cash_dividend", "cash_merger") else None)
    shown_at = {name: told.get(name) for name in ("declaration_date", "record_date", "payable_date")}
    return {
        "id": shown_id(item["id"]),
        "corporate_action_id": item["id"],
        "ca_type": kind,
        "ca_sub_type": sub_type,
        "initiating_symbol": source,
        "initiating_original_cusip": _cusip(told, _CUSIP_OF),
        "target_symbol": others[0] if others else source,
        "target_original_cusip": _cusip(told, ("acquirer_cusip", "new_cusip")) or None,
        "ex_date": told.get("ex_date") or item["effective_date"],
        "cash": cash or "0",
        "old_rate": old or "0",
        "new_rate": new or "0",
        **shown_at,
    }


def _cusip(told: dict[str, str], names: Iterable[str]) -> str:
    return next((told[name] for name in sorted(names) if name in told), "")


# ── corporate actions ────────────────────────────────────────────────────────────────────────────────────


def plural(kind: str) -> str:
    """The name of a kind's list."""
    return f"{kind}s"


async def corporate_actions(request: Request) -> Any:
    """GET /v1/corporate-actions."""
    given: ActionsQuery = request.query
    types = words(given.types)
    if types is not None and not _REQUIRED.keys() >= set(types):
        raise invalid("types is invalid")
    params: dict[str, Any] = {"date_type": "process_date"}
    ids = words(given.ids)
    if ids is None:
        today = (await request.ask("clock.get"))["timestamp"][:10]
        start, end = day(given.start, "start"), day(given.end, "end")
        params |= {"since": start.isoformat() if start else today, "until": end.isoformat() if end else today}
        params |= {name: found for name, found in (("types", types), ("symbols", words(given.symbols))) if found}
    cusips = frozenset(words(given.cusips) or ())
    rows = [(item["type"], _row(item)) for item in await _known(request, **params)]
    rows = [
        (kind, row)
        for kind, row in rows
        if (ids is None or row["id"] in ids)
        and (ids is not None or not cusips or cusips.intersection(v for k, v in row.items() if k.endswith("cusip")))
    ]
    rows.sort(key=_place, reverse=given.sort == "desc")
    if given.page_token is not None:
        last = next((n for n, (_, row) in enumerate(rows) if row["id"] == given.page_token), None)
        if last is None:
            raise invalid("page_token is invalid")
        rows = rows[last + 1 :]
    page = rows[: given.limit]
    out: dict[str, list[dict[str, Any]]] = {}
    for kind, row in page:
        out.setdefault(plural(kind), []).append(row)
    token = page[-1][1]["id"] if len(rows) > len(page) else None
    return shape(sd.CorporateActions, {"corporate_actions": out, "next_page_token": token})


def _place(entry: tuple[str, dict[str, Any]]) -> tuple[str, str]:
    return entry[1]["process_date"], entry[1]["id"]


def _row(item: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = dict(item["terms"])
    row = {
        "id": shown_id(item["id"]),
        "process_date": told.pop("process_date", None) or item["posts_on"] or item["effective_date"],
    }
    for name in _REQUIRED[item["type"]]:
        text = told.pop(name, None)
        if name in ("special", "foreign"):
            row[name] = text == "true"
        elif name.endswith("rate"):
            row[name] = float(text or ("1" if name in _ONES else "0"))
        else:
            row[name] = text if text is not None else item["effective_date"] if name.endswith("date") else ""
    for name, text in told.items():
        row[name] = float(text) if name.endswith("rate") else text
    return row


ENDPOINTS: Final = (
    Endpoint(method="GET", path="/v2/corporate_actions/announcements", handler=announcements,
             query=AnnouncementsQuery, answer=list[s.Announcement], summary="Announcements of corporate actions"),
    Endpoint(method="GET", path="/v2/corporate_actions/announcements/{announcement_id}", handler=announcement,
             answer=s.Announcement, summary="An announcement"),
    Endpoint(method="GET", path="/v1/corporate-actions", handler=corporate_actions, query=ActionsQuery,
             answer=sd.CorporateActions, summary="Corporate actions"),
)  # fmt: skip
