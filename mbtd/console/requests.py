"""Parameters of the operators' methods. Unknown fields are refused by name."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from mbtd.service.reads import NoParams, Params

Text = Annotated[str, Meta(max_length=512)]
What = Literal[
    "accounts", "account", "mailboxes", "clients", "streams", "tasks", "feed", "storage", "limits", "metrics",
    "config", "switches",
]  # fmt: skip


class Show(Params, frozen=True, kw_only=True):
    """One table; ``account`` with ``show account``."""

    what: What
    account: str | None = None
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 100


class Switch(Params, frozen=True, kw_only=True):
    """Throw (``on``) or clear a kill switch for the console."""

    name: Literal["trading_disabled", "new_orders_disabled", "market_data_disabled"]
    on: bool
    why: Annotated[str, Meta(min_length=1, max_length=512)]


class LogLevel(Params, frozen=True, kw_only=True):
    """What the log says from now on."""

    level: Literal["debug", "info", "warning", "error"]


class Kill(Params, frozen=True, kw_only=True):
    """End one client's connection, by its number in ``show clients``."""

    client: int


class Checkpoint(Params, frozen=True, kw_only=True):
    """Move the log's pages home."""

    truncate: bool = False


class Evaluate(Params, frozen=True, kw_only=True):
    """One line for the Python prompt."""

    line: Annotated[str, Meta(max_length=16_384)]


class OfUser(Params, frozen=True, kw_only=True):
    """One user of the platform."""

    user_id: Annotated[str, Meta(min_length=1, max_length=128)]


class Archive(OfUser, frozen=True, kw_only=True):
    """A page of a user's data: one table of one account, behind ``after``."""

    table: Literal["user", "accounts", "orders", "fills", "activities", "closed_lots", "archive"] = "user"
    account_no: int = 0
    after: int = 0
    limit: Annotated[int, Meta(ge=1, le=500)] = 200


class Purge(Params, frozen=True, kw_only=True):
    """Retention now, instead of at night."""

    dry_run: bool = False


REQUESTS: dict[str, type[Params]] = {
    "admin.show": Show,
    "admin.switch": Switch,
    "admin.pause": NoParams,
    "admin.resume": NoParams,
    "admin.drain": NoParams,
    "admin.reload": NoParams,
    "admin.log_level": LogLevel,
    "admin.kill_client": Kill,
    "admin.checkpoint": Checkpoint,
    "admin.barrier": NoParams,
    "admin.backup": NoParams,
    "admin.verify": NoParams,
    "admin.metrics": NoParams,
    "admin.purge": Purge,
    "admin.prompt": Evaluate,
    "admin.shutdown": NoParams,
    "user.export": Archive,
    "user.erase": OfUser,
}
"""Method name to its parameters."""
