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
    kind: int = 0
    """Class of instrument: 0 stock, 1 single option."""
    quote_class: str = ""
    draw_size: int = 0
    """The second draw of a random partial fill, 0 for none."""
    acting_limit: int = 0
    """The limit it acted on: its own, or what the short-sale restriction made of it; 0 for a market order."""
    luld_lower: int = 0
    luld_upper: int = 0
    short_restricted: bool = False
    reserve_ppm: int = 0
    """R of fills inside the spread; 0 where there are none."""
    reserve_draw: int = 0
    inside_since: int = 0
    inside_from_start: bool = False
    level: str = ""
    """Where the order stood: joined, inside, behind; empty when it was taking."""
    ahead_before: int = -1
    """Queue ahead before and after the print, in shares or contracts; -1 unknown or without meaning."""
    ahead_after: int = -1
    print_price: int = 0
    """The print or auction that made the fill; 0 for a fill from the quote."""
    print_size: int = 0
    print_at: int = 0
    print_exchange: str = ""
    print_conditions: str = ""
    print_left_qty: int = 0
    """What of the print this account had not taken yet, of what its profile lets it have."""
    print_rest_size: int = 0
    """What of the print's whole size this account's other orders had left."""
    bar_tape: bool = False
    """Prints are whole bars."""
    underlying_price: int = 0
    last_fill_at: int = 0
    quote_is_new: bool = True
    gap_at: int = 0
    """When messages of this symbol were lost while the order waited; 0 for never."""
    latency_ns: int = 0
    """From the request to being live."""
    multiplier: int = 1
    """Shares a contract; 1 for stock."""
