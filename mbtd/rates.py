"""The deployment's interest and borrow rates, as the engine takes them."""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from actors.book.rules.money.interest import Rates
from mbtd.config import Config


def rates_of(config: Config) -> Rates:
    """What the configuration says."""
    told = config.rates
    return Rates(told.margin_interest_ppm, told.cash_interest_ppm, told.borrow_ppm, told.locate_price_units)


def digest_of_rates(rates: Rates) -> str:
    """Empty for the defaults, else a hash: what a replay's state directory is bound to."""
    if rates == Rates():
        return ""
    return blake2b(msgspec.json.encode(msgspec.structs.asdict(rates)), digest_size=16).hexdigest()
