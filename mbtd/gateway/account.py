"""The account: its figures, settings, history and activities (alpaca-api §4.1, §4.4–4.6)."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from actors.commands import ConfigureAccount
from mbtd.gateway import schemas as s
from mbtd.gateway.corporate import naming_actions
from mbtd.gateway.endpoint import Body, Endpoint, Query, Request, shape
from mbtd.gateway.errors import ApiError, invalid
from mbtd.gateway.values import Bool, day, flag, instant, words

LEVEL_MOST: Final = 3
"""Alpaca knows no uncovered level (alpaca-api §2.13)."""
_SETTINGS: Final = frozenset(ConfigureAccount.__struct_fields__)
_TYPE: Final = re.compile(r"[A-Z]{2,8}\Z")
_PERIOD: Final = re.compile(r"[1-9][0-9]{0,3}[DWMA]\Z")


class ConfigurationsBody(Body, frozen=True, kw_only=True):
    """What of the settings changes; null is unchanged."""

    dtbp_check: str | None = None
    pdt_check: str | None = None
    fractional_trading: bool | None = None
    max_margin_multiplier: str | int | None = None
    max_options_trading_level: int | None = None
    no_shorting: bool | None = None
    suspend_trade: bool | None = None
    trade_confirm_email: str | None = None
    ptp_no_exception_entry: bool | None = None
    disable_overnight_trading: bool | None = None


class HistoryQuery(Query, frozen=True, kw_only=True):
    """Which history, and how fine."""

    period: str | None = None
    timeframe: Literal["1Min", "5Min", "15Min", "1H", "1D"] | None = None
    intraday_reporting: Literal["market_hours", "extended_hours", "continuous"] | None = None
    start: str | None = None
    end: str | None = None
    date_end: str | None = None
    extended_hours: Bool = None
    pnl_reset: Literal["per_day", "no_reset"] | None = None
    cashflow_types: str | None = None


class ActivitiesQuery(Query, frozen=True, kw_only=True):
    """Which activities."""

    activity_types: str | None = None
    category: Literal["trade_activity", "non_trade_activity"] | None = None
    order_id: str | None = None
    date: str | None = None
    after: str | None = None
    until: str | None = None
    direction: Literal["asc", "desc"] = "desc"
    page_size: Annotated[int, Meta(ge=1, le=100)] = 100
    page_token: Annotated[str, Meta(max_length=128)] | None = None


async def account(request: Request) -> Any:
    """GET /account."""
    found = await request.read(s.Account, "account.get")
    found.options_approved_level = min(found.options_approved_level, LEVEL_MOST)
    found.options_trading_level = min(found.options_trading_level, LEVEL_MOST)
    return found


def _configurations(found: Any) -> Any:
    told = found.get("configuration") or found.get("user_configurations") or {}
    settings = {name: found[name] for name in s.Configurations.__struct_fields__ if name in found} | told
    settings.setdefault("suspend_trade", bool(found.get("trade_suspended_by_user")))
    settings.setdefault("no_shorting", found.get("type") == "margin" and not found.get("shorting_enabled", True))
    settings["max_margin_multiplier"] = str(settings.get("max_margin_multiplier") or "4")
    if (most := settings.get("max_options_trading_level")) is not None:
        settings["max_options_trading_level"] = min(most, LEVEL_MOST)
    return shape(s.Configurations, {name: value for name, value in settings.items() if value is not None})


async def configurations(request: Request) -> Any:
    """GET /account/configurations."""
    return _configurations(await request.call("account.get"))


_CHECKS: Final[dict[str, tuple[str, ...]]] = {
    "dtbp_check": ("both", "entry", "exit"),
    "pdt_check": ("both", "entry", "exit"),
    "trade_confirm_email": ("all", "none"),
    "max_margin_multiplier": ("1", "2", "4"),
}


async def _is_capped_beyond(request: Request) -> bool:
    """Whether the account has a cap that Alpaca's words cannot say: the highest they have is no change of it."""
    found = await request.call("account.get")
    most = found["configuration"]["max_options_trading_level"]
    return most is not None and most > LEVEL_MOST


async def configure(request: Request) -> Any:
    """PATCH /account/configurations."""
    given: ConfigurationsBody = request.body
    for name, allowed in _CHECKS.items():
        value = getattr(given, name)
        if value is not None and str(value) not in allowed:
            raise invalid(f"{name} value is invalid")
    level = given.max_options_trading_level
    if level is not None and not 0 <= level <= LEVEL_MOST:
        raise invalid("max_options_trading_level value is invalid")
    wanted: dict[str, Any] = {
        name: value for name in given.__struct_fields__ if (value := getattr(given, name)) is not None
    }
    if "max_margin_multiplier" in wanted:
        wanted["max_margin_multiplier"] = str(wanted["max_margin_multiplier"])
    changes = {name: value for name, value in wanted.items() if name in _SETTINGS}
    if level == LEVEL_MOST and await _is_capped_beyond(request):
        del changes["max_options_trading_level"]
    found = await request.call("account.configure", **changes) if changes else await request.call("account.get")
    return _configurations(found)


async def history(request: Request) -> Any:
    """GET /account/portfolio/history."""
    given: HistoryQuery = request.query
    if given.period is not None and not _PERIOD.match(given.period):
        raise invalid("period is invalid, it is a number and one of D, W, M, A")
    if None not in (given.period, given.start, given.end):
        raise invalid("only two of start, end and period are accepted")
    end = day(given.date_end, "date_end")
    params = {
        "period": given.period,
        "timeframe": given.timeframe,
        "intraday_reporting": given.intraday_reporting or ("extended_hours" if flag(given.extended_hours) else None),
        "start": instant(given.start, "start"),
        "end": instant(given.end, "end") or (f"{end}T23:59:59Z" if end else None),
        "pnl_reset": given.pnl_reset,
        "cashflow_types": given.cashflow_types,
    }
    found = await request.call("history.portfolio", **{k: v for k, v in params.items() if v is not None})
    return shape(s.PortfolioHistory, found)


async def activities(request: Request) -> Any:
    """GET /account/activities and /account/activities/{activity_type}."""
    given: ActivitiesQuery = request.query
    kinds = [request.path["activity_type"]] if "activity_type" in request.path else words(given.activity_types)
    if kinds is not None:
        if given.category is not None:
            raise invalid("only one of category and activity_types is accepted")
        for kind in kinds:
            if not _TYPE.match(kind):
                raise invalid(f"invalid activity type: {kind[:16]}")
    after, until = instant(given.after, "after"), instant(given.until, "until", end_of_day=True)
    if given.date is not None and (after or until):
        raise invalid("date cannot be combined with after or until")
    on = day(given.date, "date")
    params = {
        "activity_types": kinds,
        "category": given.category,
        "date": on.isoformat() if on is not None else None,
        "order_id": given.order_id,
        "after": after,
        "until": until,
        "direction": given.direction,
        "limit": given.page_size,
        "page_token": given.page_token,
    }
    found = await request.call("activity.list", **{k: v for k, v in params.items() if v is not None})
    return shape(list[s.Activity], naming_actions(found["items"]))


ENDPOINTS: Final = (
    Endpoint(method="GET", path="/v2/account", handler=account, answer=s.Account, summary="The account"),
    Endpoint(method="GET", path="/v2/account/configurations", handler=configurations, answer=s.Configurations,
             summary="The account's settings"),
    Endpoint(method="PATCH", path="/v2/account/configurations", handler=configure, body=ConfigurationsBody,
             answer=s.Configurations, summary="Change the account's settings"),
    Endpoint(method="GET", path="/v2/account/portfolio/history", handler=history, query=HistoryQuery,
             answer=s.PortfolioHistory, summary="Equity over time"),
    Endpoint(method="GET", path="/v2/account/activities", handler=activities, query=ActivitiesQuery,
             answer=list[s.Activity], summary="Fills and bookings"),
    Endpoint(method="GET", path="/v2/account/activities/{activity_type}", handler=activities, query=ActivitiesQuery,
             answer=list[s.Activity], summary="Fills and bookings of one kind"),
)  # fmt: skip

__all__ = ["ENDPOINTS", "ApiError"]
