"""One case for each vector of ``margin.json``: the requirement of positions, and the figures of accounts."""

from __future__ import annotations

from typing import Any

import pytest

from actors.book.rules.margin.legs import OptionPosition, Underlying, groups
from actors.book.rules.margin.profiles import PPM, profile_of
from actors.book.rules.margin.requirement import Holdings, Requirements
from actors.book.units import format_money, parse_money, parse_price, parse_qty, parse_scaled
from tests.vectors.cases import load

FILE = "margin"


def option(leg: dict[str, Any]) -> OptionPosition:
    return OptionPosition(
        symbol=leg["symbol"],
        underlying=leg["underlying"],
        right="call" if leg["right"] == "C" else "put",
        strike=parse_price(leg["strike"]),
        expiry_date=int(leg["expiry"].replace("-", "")),
        qty=int(leg["qty"]),
        price=parse_price(leg["price"]),
        multiplier=int(leg["multiplier"]),
        style=leg["style"],
        settlement=leg["settlement"],
    )


def holdings(vector: dict[str, Any]) -> Holdings:
    of = vector["underlying"]
    underlying = Underlying(of["symbol"], parse_price(of["price"]), of["class"], parse_scaled(of["leverage"], 6))
    assert underlying.leverage_ppm >= PPM
    return Holdings(
        cash_money=parse_money(vector.get("cash", "0")),
        underlyings={underlying.symbol: underlying},
        stock={leg["symbol"]: parse_qty(leg["qty"]) for leg in vector["positions"] if leg["kind"] == "stock"},
        options=tuple(option(leg) for leg in vector["positions"] if leg["kind"] == "option"),
        as_of_date=int(vector["as_of"].replace("-", "")),
    )


def position_figures(vector: dict[str, Any]) -> dict[str, int]:
    held = holdings(vector)
    profile = profile_of(vector["profile"], vector["account_type"])
    cache = Requirements()
    found = [
        cache.group(profile, group, held.as_of_date) for group in groups(held.underlyings, held.stock, held.options)
    ]
    assert all(requirement.exact for requirement in found)
    initial = sum(r.initial_money for r in found)
    proceeds = sum(r.proceeds_money for r in found)
    return {
        "initial": initial,
        "maintenance": sum(r.maintenance_money for r in found),
        "proceeds": proceeds,
        "cash_call": initial - proceeds,
        "stock_collateral_haircut": sum(r.haircut_money for r in found),
    }


def account_figures(vector: dict[str, Any]) -> dict[str, int]:
    figures = Requirements().account(profile_of(vector["profile"], vector["account_type"]), holdings(vector))
    return {
        "equity": figures.equity_money,
        "maintenance": figures.maintenance_money,
        "excess_liquidity": figures.excess_money,
        "regt_buying_power": figures.buying_power_money(2),
        "intraday_buying_power": figures.intraday_buying_power_money(),
        "intraday_margin_deficit": figures.deficit_money(),
    }


@pytest.mark.parametrize("vector", load(FILE))
def test_vectors(vector: dict[str, Any]) -> None:
    figures = account_figures(vector) if vector["type"] == "account" else position_figures(vector)
    tolerance = parse_money(vector["tolerance"])
    wrong = {
        name: (text, format_money(figures[name]))
        for name, text in vector["expected"].items()
        if abs(figures[name] - parse_money(text)) > tolerance
    }
    assert not wrong
