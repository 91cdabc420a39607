"""Payoffs: exact at the end, bounded, mirrored, and drawn as what they are."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from actors.book.units import MONEY_PER_DOLLAR, PRICE_PER_DOLLAR
from mbtd.pricing.inputs import Market, PricingInputs
from mbtd.pricing.model import Model, Terms
from mbtd.pricing.payoff import Leg, corner_points, ended_money, payoff, profit_at
from mbtd.pricing.picture import draw_png, draw_text
from mbtd.records.options import render_payoff

AT = 1_790_000_000 * 10**9
END = AT + 30 * 86_400 * 10**9
LATER = END + 30 * 86_400 * 10**9
INPUTS = PricingInputs()
MODEL = Model()


def option(strike: float, units: int, call: bool = True, end: int = END) -> Leg:
    return Leg(f"{strike}", units, round(strike * PRICE_PER_DOLLAR), call, True, end, 0.25)


CONDOR = [option(90, 100, False), option(95, -100, False), option(105, -100), option(110, 100)]


def found(legs: list[Leg], cost: float, **more: object) -> object:
    return payoff(legs, round(cost * MONEY_PER_DOLLAR), "X", 100.0, INPUTS, AT, model=MODEL, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("legs", "cost", "breakevens", "gain", "loss"),
    [
        (CONDOR, -150, (93.5, 106.5), 150, 350),
        ([option(100, 100)], 250, (102.5,), None, 250),
        ([option(100, -100)], -250, (102.5,), 250, None),
        ([option(100, -100, False)], -250, (97.5,), 250, 9_750),
        ([Leg("X", 100), option(105, -100)], 9_800, (98.0,), 700, 9_800),
        # A call that is covered by dearer shares: the best that can come is a loss.
        ([Leg("X", 100), option(90, -100)], 9_336, (), -336, 9_336),
        ([option(100, 100), option(100, 100, False)], 700, (93.0, 107.0), None, 700),
        ([option(95, 100), option(100, -200), option(105, 100)], 100, (96.0, 104.0), 400, 100),
        ([option(100, 100), option(110, -200)], 0, (120.0,), 1_000, None),
    ],
)
def test_known_structures(
    legs: list[Leg], cost: float, breakevens: tuple[float, ...], gain: int | None, loss: int | None
) -> None:
    got = payoff(legs, round(cost * MONEY_PER_DOLLAR), "X", 100.0, INPUTS, AT, model=MODEL)
    assert got.breakevens[len(got.breakevens) - len(breakevens) :] == breakevens
    assert got.max_profit_money == (None if gain is None else gain * MONEY_PER_DOLLAR)
    assert got.max_loss_money == (None if loss is None else loss * MONEY_PER_DOLLAR)


legs_drawn = st.lists(
    st.builds(option, st.integers(50, 150), st.sampled_from([-300, -100, 100, 200]), st.booleans()),
    min_size=1,
    max_size=6,
)


@given(legs_drawn, st.integers(-2_000, 2_000), st.integers(0, 400 * PRICE_PER_DOLLAR))
def test_the_corners_tell_the_whole_payoff(legs: list[Leg], cost: int, price: int) -> None:
    corners = corner_points(legs, cost * MONEY_PER_DOLLAR)
    exact = ended_money(legs, price) - cost * MONEY_PER_DOLLAR
    slope = sum(leg.units for leg in legs if leg.call)
    (left, low), (right, high) = corners[-2], corners[-1]
    for a, b in itertools.pairwise(corners):
        if a[0] <= price <= b[0]:
            (left, low), (right, high) = a, b
    line = low + (high - low) * (price - left) / (right - left)
    assert exact == pytest.approx(line, abs=1)
    got = payoff(legs, cost * MONEY_PER_DOLLAR, "X", 100.0, INPUTS, AT, model=MODEL)
    assert got.max_profit_money is None or exact <= got.max_profit_money
    assert got.max_loss_money is None or exact >= -got.max_loss_money
    assert (got.max_profit_money is None, got.max_loss_money is None) == (slope > 0, slope < 0)
    for root in got.breakevens:
        assert profit_at(legs, cost * MONEY_PER_DOLLAR, root) == pytest.approx(0, abs=0.06)


@given(legs_drawn, st.integers(-2_000, 2_000))
def test_the_other_side_has_the_mirrored_payoff(legs: list[Leg], cost: int) -> None:
    ours = corner_points(legs, cost)
    theirs = corner_points([Leg(l.symbol, -l.units, l.strike, l.call) for l in legs], -cost)  # noqa: E741
    assert [(price, -profit) for price, profit in ours] == list(theirs)


@settings(max_examples=10, deadline=None)
@given(st.sampled_from([0.8, 0.95, 1.0, 1.1]))
def test_curves_come_down_to_the_payoff_at_the_end(place: float) -> None:
    legs = [option(100 * place, 100), option(110 * place, -100)]
    got = payoff(legs, 0, "X", 100.0, INPUTS, AT, [("almost", END - 60 * 10**9)], MODEL, points=21)
    at_end, almost = got.curves
    assert (at_end.theoretical, almost.theoretical) == (False, True)
    for price, exact, near in zip(at_end.prices, at_end.profits, almost.profits, strict=True):
        if min(abs(price - leg.strike / PRICE_PER_DOLLAR) for leg in legs) > 1:
            assert near == pytest.approx(exact, abs=2)


def test_a_calendar_is_theoretical_at_its_first_end_and_loses_no_more_than_it_cost() -> None:
    calendar = [option(100, -100), option(100, 100, end=LATER)]
    got = payoff(calendar, 120 * MONEY_PER_DOLLAR, "X", 100.0, INPUTS, AT, model=MODEL)
    assert got.curves[0].theoretical
    assert not got.corners
    assert len(got.breakevens) == 2
    assert got.breakevens[0] < 100 < got.breakevens[1]
    assert got.max_loss_money == 120 * MONEY_PER_DOLLAR
    assert got.max_profit_money
    assert render_payoff(got, "X", 100.0)["limits_at"] == "first_expiry"
    assert draw_text(render_payoff(got, "X", 100.0)).endswith(
        "max loss 120   (closed at the first expiry, by the model)"
    )


@pytest.mark.parametrize("call", [True, False])
@pytest.mark.parametrize(("near", "far", "cost"), [(100, 100, 710), (105, 100, 760), (100, 105, 650)])
def test_limits_of_two_ends_are_those_of_every_price_not_only_the_drawn_ones(
    near: int, far: int, cost: int, call: bool
) -> None:
    """Where no option has time value the later leg is worth what its exercise pays (or a little interest more)."""
    legs = [option(near, -100, call), option(far, 100, call, LATER)]
    bought = payoff(legs, cost * MONEY_PER_DOLLAR, "X", 100.0, INPUTS, AT, model=MODEL)
    others = [structs.replace(leg, units=-leg.units) for leg in legs]
    sold = payoff(others, -cost * MONEY_PER_DOLLAR, "X", 100.0, INPUTS, AT, model=MODEL)
    worst = cost - 100 * min(0, (near - far) if call else (far - near))
    interest = 100 * far * 0.04 * 30 / 365 if call and near < far else 0.0
    assert bought.max_loss_money == pytest.approx((worst - interest) * MONEY_PER_DOLLAR, abs=MONEY_PER_DOLLAR)
    assert sold.max_profit_money == bought.max_loss_money
    assert sold.max_loss_money == max(0, bought.max_profit_money or 0)
    assert sold.breakevens == bought.breakevens
    drawn = bought.curves[0].prices
    assert 50 < drawn[0] < drawn[-1] < 150


def test_breakevens_of_two_ends_lie_also_beyond_what_is_drawn() -> None:
    legs = [option(100, 100), option(100, -100, end=LATER)]
    got = payoff(legs, -33_500_000, "X", 100.0, INPUTS, AT, model=MODEL)
    top = got.breakevens[-1]
    assert top > got.curves[0].prices[-1]
    worth = MODEL.worth(Terms(True, 100.0, 30 / 365, True), Market(top, 0.04), 0.25)
    assert worth - (top - 100) == pytest.approx(0.335, abs=1e-4)


def test_a_european_put_of_the_later_end_is_worth_less_than_its_strike_at_a_price_of_zero() -> None:
    legs = [
        structs.replace(leg, american=False) for leg in (option(100, -100, False), option(100, 100, False, LATER))
    ]
    got = payoff(legs, 300 * MONEY_PER_DOLLAR, "X", 100.0, INPUTS, AT, model=MODEL)
    interest = 100 * 100 * (1 - math.exp(-0.04 * 30 / 365))
    assert got.max_loss_money == pytest.approx((300 + interest) * MONEY_PER_DOLLAR, abs=MONEY_PER_DOLLAR // 100)


def test_a_leg_without_a_volatility_is_named() -> None:
    later = structs.replace(option(100, 100, end=LATER), volatility=None)
    got = payoff([option(100, -100), later], 120 * MONEY_PER_DOLLAR, "X", 100.0, INPUTS, AT, model=MODEL)
    assert got.unpriced == (later.symbol,)
    shown = render_payoff(got, "X", 100.0)
    assert shown["unpriced"] == [later.symbol]
    assert f"volatility of {later.symbol}: shown at what exercise pays" in draw_text(shown)
    alone = payoff([structs.replace(later, expires_at=END)], 0, "X", 100.0, INPUTS, AT, model=MODEL)
    assert alone.unpriced == ()


def test_pictures_show_breakevens_and_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = render_payoff(found(CONDOR, -150, dates=[("now", AT)]), "X", 100.0)  # type: ignore[arg-type]
    text = draw_text(shown, width=80, height=12)
    assert "\x1b" not in text
    assert text.splitlines()[-1] == "spot 100   breakeven 93.5, 106.5   max profit 150   max loss 350"
    assert sum(line.count("|") for line in text.splitlines() if line.lstrip().startswith(("-", "0", "1"))) >= 2
    monkeypatch.setenv("FORCE_COLOR", "1")  # as a terminal would
    assert "\x1b" in draw_text(shown, colours=True)
    assert "\x1b" not in draw_text(shown)


def test_png_is_a_picture() -> None:
    pytest.importorskip("matplotlib")
    shown = render_payoff(found(CONDOR, -150), "X", 100.0)  # type: ignore[arg-type]
    picture = draw_png(shown, width_px=400, height_px=300)
    assert picture.startswith(b"\x89PNG\r\n")
    assert (int.from_bytes(picture[16:20], "big"), int.from_bytes(picture[20:24], "big")) == (400, 300)
