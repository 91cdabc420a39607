"""The evidence a fill carries (fill model §17)."""

from __future__ import annotations

from msgspec import Struct


class Evidence(Struct, frozen=True, gc=False, array_like=True):
    """The market that made a fill (fill model §17): enough to compute the fill again from this record alone."""

    bid: int
    bid_size: int
    ask: int
    ask_size: int
    quote_at: int
    tape_seq: int
    """Place of the deciding message on the tape."""
    quote_seq: int
    """Place of the quote on the tape."""
    bid_exchange: str
    ask_exchange: str
    condition: str
    received_at: int
    last_price: int
    last_at: int
    session: str
    data_class: str
    feed: str
    near: int
    far: int
    theta_ppm: int
    theta_take_ppm: int
    available_qty: int
    consumed_before: int
    consumed_after: int
    leaves_before: int
    slice_no: int
    dwell_since: int
    tick: int
    limit_price: int
    draw: int
    """The random number used, 0 for none."""
    profile: str
    profile_hash: str
    model: str
    collar_price: int = 0
    """Worst price of a market order, 0 for none."""
    model_qty: int = 0
    """What the model gave; the fill is smaller only when the account could not pay for all of it."""
