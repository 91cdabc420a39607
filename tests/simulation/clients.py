"""The simulated clients: what they send, what they were promised, and what the operator does to them."""

from __future__ import annotations

from random import Random
from typing import Any

from msgspec import structs

from actors.book.assign_lots import fill_id_of
from actors.book.outcome import Placed
from actors.book.rules.admission.switches import SOURCES, SWITCHES
from actors.book.rules.reasons import Refusal
from actors.book.units import format_qty
from actors.commands import (
    AssignLots,
    CancelAll,
    CancelOrder,
    CloseAllPositions,
    ClosePosition,
    ConfigureAccount,
    Deposit,
    DoNotExercisePosition,
    ExercisePosition,
    LocateShares,
    LotPick,
    OrderLeg,
    PlaceOrder,
    RecallBorrow,
    ReplaceOrder,
    ResetAccount,
    StopLoss,
    TakeProfit,
    Withdraw,
)
from actors.inputs import Envelope, SwitchInput
from actors.switching import switch
from tests.simulation.market import OPTIONED, SYMBOLS
from tests.simulation.operators import Operators

PROFILES = ("realistic", "alpaca-parity", "conservative", "brisk", "frugal")


class Clients(Operators):
    """Commands to the accounts of :attr:`engine`."""

    def __init__(self, days: int) -> None:
        super().__init__(days)
        self.waiting: list[tuple[int, int, str, int]] = []
        """Answers behind an event number: account, client id, order number."""
        self.acknowledged: dict[tuple[int, str], int] = {}
        self.sent: list[tuple[int, PlaceOrder]] = []
        self.orders = 0

    def _command(self, account_no: int, action: Any) -> Any:
        return self.engine.command(account_no, action, self.now, Envelope())

    def _account(self, random: Random) -> int:
        return random.choice(sorted(self.engine.books))

    def _price(self, symbol: str, random: Random, away: tuple[int, ...] = (-8, -2, -1, 0, 1, 2, 8)) -> str:
        step = max(1, self.cents[symbol] // 1_000)
        return f"{(self.cents[symbol] + step * random.choice(away)) / 100:.2f}"

    def _send(self, account_no: int, action: PlaceOrder) -> None:
        """Send an order, or one that was sent before."""
        outcome = self._command(account_no, action)
        if isinstance(outcome, Placed):
            self.orders += not outcome.duplicate
            self.waiting.append((self.engine.seq, account_no, action.client_order_id or "", outcome.order_no))
        else:
            assert isinstance(outcome, Refusal)
            assert (account_no, action.client_order_id or "") not in self.acknowledged, "acknowledged, then refused"

    def _new(self, random: Random, **terms: Any) -> None:
        account_no = self._account(random)
        action = PlaceOrder(client_order_id=f"c{random.getrandbits(40)}", **terms)
        self.sent.append((account_no, action))
        self._send(account_no, action)

    def _repeat(self, random: Random) -> None:
        if self.sent:
            account_no, action = random.choice(self.sent[-40:])
            if account_no in self.engine.books:
                self._send(account_no, action)

    def _place(self, random: Random) -> None:
        symbol = random.choice(SYMBOLS)
        kind = random.choice(("market", "limit", "limit", "limit", "stop", "stop_limit"))
        plain = kind in ("market", "limit")
        term = random.choice(("day", "day", "gtc", "ioc", "fok", "opg", "cls")) if plain else "day"
        self._new(
            random,
            symbol=symbol,
            qty=str(random.choice((1, 5, 20, 0.5) if term == "day" else (1, 5, 20))),
            side=random.choice(("buy", "buy", "sell")),
            type=kind,
            time_in_force=term,
            limit_price=self._price(symbol, random) if "limit" in kind else None,
            stop_price=self._price(symbol, random, (-6, 6)) if "stop" in kind else None,
            extended_hours=kind == "limit" and term == "day" and random.random() < 0.3,
        )

    def _trailing(self, random: Random) -> None:
        trail = {random.choice(("trail_price", "trail_percent")): random.choice(("0.05", "0.5", "1"))}
        self._new(random, symbol=random.choice(SYMBOLS), qty="5", side=random.choice(("buy", "sell")),
                  type="trailing_stop", time_in_force=random.choice(("day", "gtc")), **trail)  # fmt: skip

    def _group(self, random: Random) -> None:
        """Bracket, OCO, OTO."""
        symbol, kind = random.choice(SYMBOLS), random.choice(("bracket", "bracket", "oco", "oto"))
        buys = random.random() < 0.7
        above, below = self._price(symbol, random, (3, 9, 20)), self._price(symbol, random, (-20, -9, -3))
        target, stop = (above, below) if buys == (kind != "oco") else (below, above)
        self._new(
            random,
            symbol=symbol,
            qty=str(random.choice((2, 10))),
            side="buy" if buys else "sell",
            type="limit" if kind == "oco" else random.choice(("market", "limit")),
            limit_price=None if kind == "oco" else self._price(symbol, random),
            time_in_force=random.choice(("day", "gtc")),
            order_class=kind,
            take_profit=TakeProfit(limit_price=target) if kind != "oto" or random.random() < 0.5 else None,
            stop_loss=StopLoss(stop_price=stop) if kind != "oto" or random.random() < 0.5 else None,
        )

    def _option(self, random: Random) -> None:
        kind = random.choice(("market", "limit"))
        self._new(random, symbol=random.choice(self.contracts_now()), qty=str(random.choice((1, 2))),
                  side=random.choice(("buy", "buy", "sell")), type=kind, time_in_force="day",
                  limit_price=random.choice(("0.10", "1.00", "4.00")) if kind == "limit" else None)  # fmt: skip

    def _unit(self, random: Random) -> None:
        """Several legs at a net price."""
        symbols = random.sample(self.contracts_now(), random.choice((2, 2, 3, 4)))
        legs = tuple(
            OrderLeg(symbol=symbol, ratio_qty=random.choice(("1", "1", "2")), side=random.choice(("buy", "sell")))
            for symbol in symbols
        )
        kind = random.choice(("market", "limit"))
        self._new(random, qty="1", type=kind, time_in_force="day", order_class="mleg", legs=legs,
                  limit_price=random.choice(("-1.00", "0.50", "3.00")) if kind == "limit" else None)  # fmt: skip

    def _exercise(self, random: Random) -> None:
        account_no = self._account(random)
        held = [symbol for symbol in self.engine.books[account_no].positions if symbol.startswith(OPTIONED + "2")]
        if held:
            kind: Any = random.choice((ExercisePosition, DoNotExercisePosition))
            self._command(account_no, kind(symbol=random.choice(held), qty="1"))

    def _order(self, account_no: int, random: Random) -> str | None:
        orders = list(self.engine.books[account_no].orders.values())
        return random.choice(orders).terms.order_id if orders else None

    def _cancel(self, random: Random) -> None:
        account_no = self._account(random)
        if (order_id := self._order(account_no, random)) is not None:
            self._command(account_no, CancelOrder(order_id=order_id))

    def _cancel_all(self, random: Random) -> None:
        self._command(self._account(random), CancelAll())

    def _replace(self, random: Random) -> None:
        account_no = self._account(random)
        if (order_id := self._order(account_no, random)) is not None:
            action = ReplaceOrder(order_id=order_id, qty=str(random.choice((2, 8, 30))))
            if random.random() < 0.3:
                action = structs.replace(action, limit_price=self._price(random.choice(SYMBOLS), random))
            self._command(account_no, action)

    def _close(self, random: Random) -> None:
        account_no = self._account(random)
        symbol = random.choice((*SYMBOLS, *self.engine.books[account_no].positions))
        self._command(account_no, ClosePosition(symbol=symbol, cancel_orders=random.random() < 0.5))

    def _close_all(self, random: Random) -> None:
        self._command(self._account(random), CloseAllPositions(cancel_orders=random.random() < 0.5))

    def _money(self, random: Random) -> None:
        action: Any = (
            Deposit(amount="100") if random.random() < 0.5 else Withdraw(amount=str(random.choice((1, 10**7))))
        )
        self._command(self._account(random), action)

    def _assign(self, random: Random) -> None:
        """Other lots for a closing that has not settled; now and then what cannot be."""
        account_no = self._account(random)
        book = self.engine.books[account_no]
        if not book.closings:
            return
        n = random.choice(sorted(book.closings))
        closing = book.closings[n]
        pool = {use.lot_no: abs(use.qty) for use in closing.closed}
        wanted = sum(pool.values()) + (random.random() < 0.1)
        position = book.positions.get(closing.symbol)
        for lot in position.lots if position is not None else ():
            pool[lot.lot_no] = pool.get(lot.lot_no, 0) + abs(lot.qty)
        picks = []
        for lot_no in random.sample(sorted(pool), len(pool)):
            part = min(wanted, pool[lot_no])
            if part:
                picks.append(LotPick(lot_no=lot_no, qty=format_qty(part)))
            wanted -= part
        self._command(account_no, AssignLots(fill_id=fill_id_of(book, n), lots=tuple(picks)))

    def _configure(self, random: Random) -> None:
        action = random.choice(
            (
                ConfigureAccount(profile=random.choice(PROFILES)),
                ConfigureAccount(no_shorting=random.random() < 0.5),
                ConfigureAccount(suspend_trade=random.random() < 0.2),
                ConfigureAccount(max_margin_multiplier=random.choice(("1", "2", "4"))),
                ConfigureAccount(options_level=random.choice((1, 2, 3))),
                LocateShares(symbol="BBB", qty="10"),
                RecallBorrow(symbol="BBB"),
            )
        )
        self._command(self._account(random), action)

    def _reset(self, random: Random) -> None:
        """An account begins anew; what it was promised before ends with it."""
        account_no = self._account(random)
        self._command(account_no, ResetAccount(cash="50000"))
        self.forget(account_no)

    def forget(self, account_no: int) -> None:
        """Nothing that this account was promised is looked for any more."""
        self.acknowledged = {key: no for key, no in self.acknowledged.items() if key[0] != account_no}
        self.waiting = [entry for entry in self.waiting if entry[1] != account_no]
        self.sent = [entry for entry in self.sent if entry[0] != account_no]

    def _switch(self, random: Random) -> None:
        """One switch is thrown by somebody, or they are all cleared."""
        if random.random() < 0.6:
            self.clear_switches()
        else:
            change = SwitchInput(random.choice(SWITCHES), random.choice(SOURCES), True, "uid:0", "chaos")
            switch(self.engine, change, self.now)

    def clear_switches(self) -> None:
        """Every switch off, whoever set it."""
        for name in SWITCHES:
            for source in SOURCES:
                switch(self.engine, SwitchInput(name, source, False, "uid:0", "quiet"), self.now)
