"""What the house can be told about keys, web sessions, tiers and watchlists, in the form that is journaled.

Invariants: random material is drawn outside and arrives here only as salted hashes; formats are append-only.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Tier = Literal["free", "pro", "pro_plus"]


class House(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="do"):
    """Base of all."""

    at: int = 0
    """Wall time in nanoseconds; what keys and sessions go by, whatever time the tape keeps."""


class IssueKey(House, tag="key.issue", frozen=True, kw_only=True):
    """A key for one account; ``replaces`` is revoked in the same step."""

    account_no: int
    key_id: str
    salt: bytes
    secret_hash: bytes
    label: str = ""
    replaces: str = ""


class RevokeKey(House, tag="key.revoke", frozen=True, kw_only=True):
    """A key opens nothing any more."""

    key_id: str


class OpenSession(House, tag="session.open", frozen=True, kw_only=True):
    """A session of a browser or a program for one account."""

    session_id: str
    account_no: int
    kind: Literal["browser", "program"]
    salt: bytes
    token_hash: bytes
    expires_at: int
    label: str = ""


class RotateSession(House, tag="session.rotate", frozen=True, kw_only=True):
    """A session goes on under a new token."""

    session_id: str
    salt: bytes
    token_hash: bytes
    expires_at: int


class CloseSessions(House, tag="session.close", frozen=True, kw_only=True):
    """End one session, all of a user's, or all there are."""

    session_id: str = ""
    user_id: str = ""
    everybody: bool = False
    reason: str = ""


class SetTier(House, tag="user.set_tier", frozen=True, kw_only=True):
    """A user's tier from now on."""

    user_id: str
    tier: Tier


class SaveWatchlist(House, tag="watchlist.save", frozen=True, kw_only=True):
    """A list as it is from now on; a new one when its id is not known yet."""

    account_no: int
    watchlist_id: str
    name: str
    symbols: tuple[str, ...]


class DeleteWatchlist(House, tag="watchlist.delete", frozen=True, kw_only=True):
    """A list goes."""

    account_no: int
    watchlist_id: str


class PriceWords(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a security is worth in an action, dollars a share."""

    cil_price: str | None = None
    """At which fractions are settled in cash, in units after it."""
    alloc_price: str | None = None
    """By which the cost basis is split."""
    drip_price: str | None = None
    """At which dividends are reinvested."""
    prev_close: str | None = None


class PartWords(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Shares that a contract delivers, or a fraction of one paid in cash."""

    symbol: str
    qty: str


class DeliverableWords(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a contract delivers."""

    shares: tuple[PartWords, ...] = ()
    cash: str = "0"
    cash_in_lieu: tuple[PartWords, ...] = ()


class OccWords(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The items of an OCC memo for one root (rules §6.1)."""

    root: str
    new_root: str
    contract_multiplier: str = "1"
    strike_divisor: str = "1"
    strike_reduction: str = "0"
    new_premium_multiplier: str | None = None
    new_strike_multiplier: str | None = None
    deliverable: DeliverableWords | None = None


class MovementWords(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Shares that a reorganization gives."""

    symbol: str
    new_rate: str
    source_rate: str = "1"


class AnnounceAction(House, tag="corporate_action.announce", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A corporate action in Alpaca's words; the same id again changes or confirms it (rules §2)."""

    id: str
    type: str
    symbol: str | None = None
    old_symbol: str | None = None
    new_symbol: str | None = None
    source_symbol: str | None = None
    acquirer_symbol: str | None = None
    acquiree_symbol: str | None = None
    alternate_symbol: str | None = None
    cusip: str | None = None
    old_cusip: str | None = None
    new_cusip: str | None = None
    rate: str | None = None
    new_rate: str | None = None
    old_rate: str | None = None
    source_rate: str | None = None
    acquirer_rate: str | None = None
    acquiree_rate: str | None = None
    alternate_rate: str | None = None
    cash_rate: str | None = None
    long_term_rate: str | None = None
    short_term_rate: str | None = None
    special: bool = False
    foreign: bool = False
    sub_type: str | None = None
    ex_date: str | None = None
    effective_date: str | None = None
    process_date: str | None = None
    record_date: str | None = None
    payable_date: str | None = None
    declaration_date: str | None = None
    due_bill_on_date: str | None = None
    due_bill_off_date: str | None = None
    due_bill_redemption_date: str | None = None
    expiration_date: str | None = None
    stock_movements: tuple[MovementWords, ...] = ()
    prices: dict[str, PriceWords] = {}
    occ_adjustments: tuple[OccWords, ...] = ()
    existing_option_roots: tuple[str, ...] = ()
    fraction: Literal["", "round_up", "drop"] = ""
    """What everybody's fractions become; empty: by each account's setting."""
    confirmed: bool = False
    """Terms that look wrong are meant: a stock dividend of a whole share or more, the same again on the same day
    under another id, a new name that belongs to somebody."""


class WithdrawAction(House, tag="corporate_action.withdraw", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An action does not happen; where it did it is taken back."""

    id: str


HouseCommand = (
    IssueKey
    | RevokeKey
    | OpenSession
    | RotateSession
    | CloseSessions
    | SetTier
    | SaveWatchlist
    | DeleteWatchlist
    | AnnounceAction
    | WithdrawAction
)
