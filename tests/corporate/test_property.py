"""Corporate actions among random trading: double entry, restarts, late knowledge, and what must never change."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from actors.book import events as e
from actors.book.state.book import Book
from actors.book.state.fold import fold
from actors.book.view import figures
from actors.commands import ConfigureAccount
from actors.inputs import Step
from tests.corporate.rig import CALENDAR, Stage, past_of
from tests.money.rig import DOLLAR, INSTRUMENTS
from tests.money.test_ledger import act
from tests.oracle.ledger import Ledger, check_ledger

SHARE = 10**9
NAMES = ("AAA", "BBB")
WHAT = ("forward_split", "reverse_split", "cash_dividend", "stock_dividend", "spin_off", "return_of_capital",
        "stock_merger", "stock_and_cash_merger", "cash_merger", "worthless_removal", "rights_distribution",
        "withdraw")  # fmt: skip
SCRIPT = st.one_of(
    st.tuples(
        st.sampled_from(["buy", "sell", "limit buy", "limit sell"]), st.sampled_from(NAMES), st.integers(1, 90)
    ),
    st.tuples(st.just("price"), st.sampled_from(NAMES), st.integers(20, 250)),
    st.tuples(st.just("wait"), st.just(""), st.integers(1, 2)),
    st.tuples(st.sampled_from(WHAT), st.sampled_from(NAMES), st.integers(-3, 3)),
)


def text(day: int) -> str:
    return f"{day // 10_000}-{day // 100 % 100:02d}-{day % 100:02d}"


def words(what: str, symbol: str, ca_id: str, date: str) -> dict[str, Any]:
    """An action in the operator's words."""
    given = {"id": ca_id, "type": what, "symbol": symbol, "ex_date": date}
    moved = {"id": ca_id, "type": what, "acquiree_symbol": symbol, "effective_date": date, "acquirer_symbol": "NEW",
             "acquirer_rate": "0.7"}  # fmt: skip
    return {
        "forward_split": given | {"new_rate": "3", "old_rate": "2"},
        "reverse_split": given | {"new_rate": "1", "old_rate": "7"},
        "reverse_renamed": given | {"type": "reverse_split", "new_rate": "1", "old_rate": "7", "new_symbol": "AAAD"},
        "name_change": {"id": ca_id, "type": what, "old_symbol": symbol, "new_symbol": "AAAD", "process_date": date},
        "cash_dividend": given | {"rate": "0.3333", "payable_date": date},
        "return_of_capital": given | {"type": "cash_dividend", "rate": "9", "sub_type": "return_of_capital"},
        "stock_dividend": given | {"rate": "0.05"},
        "spin_off": {"id": ca_id, "type": what, "ex_date": date, "source_symbol": symbol, "source_rate": "3",
                     "new_symbol": "SPUN", "new_rate": "1", "prices": {"SPUN": {"alloc_price": "40", "cil_price": "40"}, symbol: {"alloc_price": "90"}}},
        "stock_merger": moved,
        "stock_and_cash_merger": moved | {"cash_rate": "12.345", "payable_date": "2026-08-06"},
        "cash_merger": {"id": ca_id, "type": what, "acquiree_symbol": symbol, "effective_date": date, "rate": "54.321",
                        "payable_date": "2026-08-12"},
        "worthless_removal": {"id": ca_id, "type": what, "symbol": symbol, "process_date": date},
        "rights_distribution": {"id": ca_id, "type": what, "source_symbol": symbol, "new_symbol": "AAA.RT",
                                "rate": "0.5", "ex_date": date, "payable_date": date},
    }[what]  # fmt: skip


class Life:
    """One account, everything it did, and the steps of it."""

    def __init__(self, kind: str, **policy: Any) -> None:
        self.stage = Stage("2026-08-03 10:00", (), INSTRUMENTS)
        self.steps: list[Step] = []
        self.stage.engine.world.past = lambda *asked: past_of([*self.steps, *self.stage.engine.steps], *asked)
        for name in NAMES:
            self.stage.quote(name, 100)
        self.no = self.stage.account("30000", kind)
        self.stage.do(self.no, ConfigureAccount(**policy))
        self.day = 20260803
        self.announced: list[str] = []
        self.ledger, self.plain = Ledger(), Book(self.no)

    def act(self, what: str, symbol: str, number: int) -> None:
        if what == "withdraw":
            if self.announced:
                self.stage.withdraw(self.announced[number % len(self.announced)])
        elif what in WHAT:
            day = self.day
            for _ in range(abs(number)):
                day = CALENDAR.next_trading_day(day) if number > 0 else CALENDAR.previous_trading_day(day)
            ca_id = f"ca-{len(self.announced)}"
            if self.stage.announce(**words(what, symbol, ca_id, text(day))) is None:
                self.announced.append(ca_id)
        else:
            self.day = act(self.stage, self.no, what, symbol, number, self.day)
        self.stage.engine.run_timers_through(self.stage.now)
        self.check()

    def fills(self) -> list[tuple[int, int]]:
        found = [event for step in self.steps for section in step.sections for event in section.events]
        return [(f.qty, f.price) for f in found if isinstance(f, e.OrderFilled)]

    def check(self) -> None:
        book = self.stage.book(self.no)
        assert not book.quarantined, book.quarantined
        for step in self.stage.engine.take_steps():
            self.steps.append(step)
            for section in step.sections:
                for event in section.events if section.account_no == self.no else ():
                    if self.plain.rules().lot_method == "fifo":  # all that the ledger knows
                        self.ledger.take(event)
                    fold(self.plain, event, step.at)
        if self.plain.rules().lot_method == "fifo":
            check_ledger(self.ledger, self.plain)
        assert msgspec.structs.replace(book, watch={}, consumed={}) == self.plain


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["margin", "cash"]), st.sampled_from(["keep", "cil"]), st.sampled_from(["finra_5330", "cancel_all"]),
    st.sampled_from(["off", "on"]), st.lists(SCRIPT, max_size=25),
)  # fmt: skip
def test_double_entry_holds_through_everything(
    kind: str, fraction_long: str, action_orders: str, drip: str, script: list[Any]
) -> None:
    life = Life(kind, fraction_long=fraction_long, action_orders=action_orders, drip=drip, nra_ppm=150_000)
    for what, symbol, number in [*script, ("wait", "", 2), ("wait", "", 2)]:
        life.act(what, symbol, number)
    again = Stage("2026-08-03 10:00", (), INSTRUMENTS)
    for step in life.steps:
        again.engine.restore_step(step)
    assert again.book(life.no) == life.plain
    assert again.engine.house.actions.by_id == life.stage.engine.house.actions.by_id


def picture(book: Book) -> Any:
    return {symbol: (p.qty, p.basis_money, p.lots) for symbol, p in book.positions.items()}, book.cash


@settings(max_examples=60, deadline=None)
@given(
    st.integers(2, 20),
    # No share costs more than ten million dollars: a book holds no larger price, and sets such an account aside.
    st.lists(
        st.tuples(st.integers(1, 10**12), st.integers(1, 10**12)).filter(lambda lot: lot[1] <= 10_000 * lot[0]),
        min_size=1,
        max_size=4,
    ),
)
def test_n_for_one_and_then_one_for_n_is_what_it_was(n: int, lots: list[tuple[int, int]]) -> None:
    stage = Stage("2026-08-03 10:00", ("AAA",))
    no = stage.account("1000")
    for qty, basis in lots:
        book: Book = stage.book(no)
        held = book.positions.get("AAA")
        lot = e.Lot(book.next_lot_no, qty, basis, stage.now, 0)
        qty, basis = (qty + held.qty, basis + held.basis_money) if held is not None else (qty, basis)
        asset_id = stage.engine.world.instruments.by_symbol["AAA"].asset_id
        stage.told(no, e.PositionChanged("AAA", asset_id, qty, basis, book.cash, 0, 0, lot))
    before = picture(stage.book(no))
    split = {"type": "forward_split", "symbol": "AAA", "new_rate": str(n), "old_rate": "1", "ex_date": "2026-08-05"}
    stage.announce(id="out", **split)
    back = split | {"type": "reverse_split", "new_rate": "1", "old_rate": str(n), "ex_date": "2026-08-06"}
    stage.announce(id="back", **back)
    stage.go("2026-08-05 10:00")
    assert stage.book(no).positions["AAA"].qty == n * sum(qty for qty, _ in lots)
    stage.go("2026-08-06 10:00")
    assert picture(stage.book(no)) == before


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["forward_split", "reverse_split", "reverse_renamed", "stock_dividend", "name_change"]), st.integers(1, 900),
    st.booleans(), st.integers(1_000, 300_000), st.sampled_from(["keep", "cil"]),
)  # fmt: skip
def test_an_action_that_changes_units_changes_no_equity(
    what: str, shares: int, short: bool, cents: int, fraction_long: str
) -> None:
    stage = Stage("2026-08-03 10:00", ("AAA",))
    stage.quote("AAA", cents / 100)
    no = stage.account("1000000")
    stage.do(no, ConfigureAccount(fraction_long=fraction_long))
    stage.hold(no, "AAA", -shares * SHARE if short else shares * SHARE, -5 * DOLLAR if short else 5 * DOLLAR)
    stage.announce(**words(what, "AAA", "x", "2026-08-05"))
    stage.go("2026-08-04 19:59")
    before = figures(stage.book(no), stage.engine.world)
    stage.go("2026-08-04 20:01")
    after = figures(stage.book(no), stage.engine.world)
    # A price is shown to a hundredth of a cent, cash in lieu to the cent.
    assert abs(after.equity_money - before.equity_money) <= 8 * shares * 100 + 10_000


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["buy", "sell"]), st.integers(1, 60)), max_size=6),
    st.sampled_from(sorted(set(WHAT) - {"withdraw", "cash_merger", "worthless_removal"})),
    st.sampled_from(["in time", "late", "corrected", "withdrawn"]),
    st.sampled_from(["fifo", "lifo", "highest_cost"]),
)
def test_late_corrected_and_withdrawn_come_to_what_would_have_been(
    trades: list[tuple[str, int]], what: str, how: str, lots: str
) -> None:
    """The same trades with the action known in time, or not at all, leave the same positions and cash."""
    lives = []
    for known in (how, "never" if how == "withdrawn" else "in time"):
        life = Life("margin", lot_method=lots)
        for side, qty in (("buy", 40), ("buy", 25)):
            life.stage.quote("AAA", 100 + qty)
            life.stage.order(life.no, side, str(qty))
        terms = words(what, "AAA", "x", "2026-08-05") | {"process_date": "2026-08-05"}
        if known in ("in time", "withdrawn"):
            assert life.stage.announce(**terms) is None
        elif known == "corrected":
            wrong = dict(terms)
            for name in ("new_rate", "rate", "acquirer_rate"):
                if name in wrong:
                    wrong[name] = f"{float(wrong[name]) + (1 if what == 'forward_split' else 0.01):.4f}"
            if what == "reverse_split":
                wrong = terms | {"old_rate": "9"}
            assert life.stage.announce(**wrong) is None
        life.stage.go("2026-08-05 10:00")
        life.check()
        for place, (side, qty) in enumerate(trades):
            life.stage.quote("BBB", 50 + place)
            life.stage.quote("AAA", 60 + place)
            life.stage.order(
                life.no, side, str(qty), "AAA" if what not in ("stock_merger", "stock_and_cash_merger") else "BBB"
            )
        life.stage.go("2026-08-06 11:00")
        life.check()
        if known in ("late", "corrected"):
            assert life.stage.announce(**terms) is None
        elif known == "withdrawn":
            assert life.stage.withdraw("x") is None
        life.stage.go("2026-08-07 10:00")
        life.check()
        lives.append(life)
    one, other = (life.stage.book(life.no) for life in lives)
    # Where the action was unknown an order may have been too large, or a position closed that lived on.
    assume(lives[0].fills() == lives[1].fills())
    assume(
        not any(min(lot.qty for lot in p.lots) < 0 < max(lot.qty for lot in p.lots) for p in one.positions.values())
    )
    shapes = [({s: (p.qty, p.basis_money) for s, p in book.positions.items()}, book.cash) for book in (one, other)]
    assert shapes[0] == shapes[1]
    record = one.actions.get("x")
    assert record is None or not record.reconcile
