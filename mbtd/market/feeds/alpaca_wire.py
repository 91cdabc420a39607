"""The messages of Alpaca's market-data streams as they come over the wire (alpaca-api §5.2-5.4).

Invariants: a field that a tape message needs is required and typed, so a message without it, or with
another type in it, cannot be decoded and cannot become a wrong quote. Fields that nobody needs are not
named: they are skipped without being built. Fields stand in the order in which the server sends them: that
is a quarter of the decoding time.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Raw, Struct, field

Dollars = Annotated[float, Meta(ge=0, lt=1e9)]
Size = Annotated[int, Meta(ge=0, lt=1 << 48)]
AnySize = Size | Annotated[float, Meta(ge=0, lt=float(1 << 48))]
"""Alpaca's documents and SDK allow fractions; whole numbers are what comes."""
TradeId = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
Codes = tuple[str, ...] | str | None
"""Condition codes: a list for stocks, one text for options."""


class WireQuote(Struct, tag_field="T", tag="q", gc=False, kw_only=True):
    """``q`` with whole sizes: the one message that must be fast."""

    S: str
    bx: str = ""
    bp: Dollars
    bs: Size
    ax: str = ""
    ap: Dollars
    as_: Size = field(name="as")
    c: Codes = None
    t: Raw


class WireQuoteAnySize(Struct, tag_field="T", tag="q", kw_only=True):
    """``q`` as a fallback, when a size comes as a float."""

    S: str
    bx: str = ""
    bp: Dollars
    bs: AnySize
    ax: str = ""
    ap: Dollars
    as_: AnySize = field(name="as")
    c: Codes = None
    t: Raw


class WireTrade(Struct, tag_field="T", tag="t", gc=False, kw_only=True):
    """``t``: a print."""

    S: str
    i: TradeId | None = None
    x: str = ""
    p: Dollars
    s: AnySize
    c: Codes = None
    t: Raw


class WireStatus(Struct, tag_field="T", tag="s"):
    """``s``: trading status."""

    S: str
    sc: str
    t: Raw
    rc: str = ""
    sm: str = ""
    rm: str = ""


class WireBands(Struct, tag_field="T", tag="l"):
    """``l``: limit-up limit-down bands."""

    S: str
    u: Dollars
    d: Dollars
    t: Raw


class WireCorrection(Struct, tag_field="T", tag="c"):
    """``c``: counted; prints are never corrected afterwards (fill model §21)."""


class WireCancel(Struct, tag_field="T", tag="x"):
    """``x``: counted."""


class WireBar(Struct, tag_field="T", tag="b"):
    """``b``: ignored; bars are built from the tape."""


class WireUpdatedBar(Struct, tag_field="T", tag="u"):
    """``u``: ignored."""


class WireDailyBar(Struct, tag_field="T", tag="d"):
    """``d``: ignored."""


class WireImbalance(Struct, tag_field="T", tag="i"):
    """``i``: ignored."""


class WireSuccess(Struct, tag_field="T", tag="success"):
    """``connected`` or ``authenticated``."""

    msg: str


class WireSubscription(Struct, tag_field="T", tag="subscription"):
    """The whole set in force, after every change of it."""

    quotes: list[str] | None = None
    trades: list[str] | None = None


class WireError(Struct, tag_field="T", tag="error"):
    """A refusal."""

    code: Annotated[int, Meta(ge=-(1 << 31), lt=1 << 31)]
    msg: str = ""


WireOther = (
    WireTrade
    | WireStatus
    | WireBands
    | WireCorrection
    | WireCancel
    | WireBar
    | WireUpdatedBar
    | WireDailyBar
    | WireImbalance
    | WireSuccess
    | WireSubscription
    | WireError
)
WireMessage = WireQuote | WireOther


class WireTag(Struct):
    """Only what a message says it is; for naming one that cannot be read."""

    T: str


FRAME: Final = msgspec.msgpack.Decoder(list[WireMessage])
"""One frame whose every message is as documented."""
PIECES: Final = msgspec.msgpack.Decoder(list[Raw])
"""One frame, message by message, when something in it is not."""
PIECE: Final = msgspec.msgpack.Decoder(WireQuoteAnySize | WireOther)
TAG: Final = msgspec.msgpack.Decoder(WireTag)
KNOWN_TAGS: Final = frozenset("qtslcxbudi") | {"success", "subscription", "error"}
DECODE_ERRORS: Final = (msgspec.MsgspecError, ValueError, RecursionError, OverflowError)
"""All that decoding arbitrary bytes raises (a UnicodeDecodeError is a ValueError)."""
