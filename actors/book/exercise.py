"""What one account does with ``position.exercise`` and ``position.do_not_exercise`` (margin-and-options §5.3, §5.6).

Invariants: an exercise of an American contract happens in the turn of its command, as one transaction; an exercise
of a contract that ends today at a price not known yet, and every do-not-exercise, is an instruction that the expiry
reads. A refused request leaves only an audit event.

Known limits: at expiry a margin account's means are its present buying power; the requirement afterwards is what the
margin rules say of the book it leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from actors.book import events as e
from actors.book.draft import Draft
from actors.book.instruments import Instrument
from actors.book.option_life import book_outcomes
from actors.book.outcome import Done, Outcome
from actors.book.rules.admission.closing import free_of_cover_qty
from actors.book.rules.admission.switches import trading_refusal
from actors.book.rules.margin.holdings import holdings_of, option_position, underlying_of
from actors.book.rules.margin.orders import Change, apply
from actors.book.rules.margin.profiles import profile_of
from actors.book.rules.margin.requirement import Holdings
from actors.book.rules.matching.profiles import Profiles
from actors.book.rules.options.exercise import Moment, check_request, exercise_early
from actors.book.rules.options.expiry import CLOSEOUT, SETTLE, ExpiryPolicy
from actors.book.rules.options.means import Judge, cash_judge
from actors.book.rules.options.outcome import Holding, NetChange, Prices
from actors.book.rules.options.precheck import Touch
from actors.book.rules.reasons import Refusal, refuse
from actors.book.state.book import Book
from actors.book.units import QTY_PER_SHARE, BadNumber, format_money, parse_qty, value_money
from actors.book.view import available_qty, figures, may_short, payable_money, standing, trade_date
from actors.commands import DoNotExercisePosition, ExercisePosition
from actors.market.world import World

Kind = Literal["exercise", "do_not_exercise"]


def exercise_position(draft: Draft, action: ExercisePosition, world: World, profiles: Profiles) -> Outcome:
    """Exercise contracts now; all that are held unless ``qty`` says fewer."""
    found = _requested(draft.book, action.symbol, action.qty, "exercise", world)
    if isinstance(found, Refusal):
        return _refused(draft, "position.exercise", found)
    instrument, qty = found
    prices = _prices(instrument, world)
    touch = _touch(instrument, world)
    policy = expiry_policy(draft.book, world)
    holding = Holding(instrument, qty)
    done = exercise_early(holding, prices, touch, _early_judge(draft.book, holding, world, prices), policy)
    if isinstance(done, Refusal):
        return _refused(draft, "position.exercise", done)
    book_outcomes(draft, [done.outcome], world)
    if done.given_away_money:
        # No contract is named: the warning is of what was done, and none stands for what is left.
        numbers = {"symbol": instrument.symbol, "given_away": format_money(done.given_away_money)}
        draft.emit(e.OptionWarned(instrument.underlying, "time_value_given_away", (), numbers))
    return Done()


def do_not_exercise_position(
    draft: Draft, action: DoNotExercisePosition, world: World, profiles: Profiles
) -> Outcome:
    """Let contracts that expire today lapse; a later request replaces this one, and one of none takes it back."""
    none = action.qty == "0"
    given = None if none else action.qty
    found = _requested(draft.book, action.symbol, given, "do_not_exercise", world, even_promised=none)
    if isinstance(found, Refusal):
        return _refused(draft, "position.do_not_exercise", found)
    instrument, qty = found
    if none:
        standing_now = draft.book.instructions.get(instrument.symbol)
        if standing_now is not None and standing_now.kind == "do_not_exercise":
            draft.emit(e.OptionInstructed(instrument.symbol, "", 0, instrument.settlement_date))
        return Done()
    draft.emit(e.OptionInstructed(instrument.symbol, "do_not_exercise", qty, instrument.settlement_date))
    return Done()


def expiry_policy(book: Book, world: World) -> ExpiryPolicy:
    """How the account's expiring contracts are dealt with: its fill profile says (fill model §14)."""
    return CLOSEOUT if book.profile in world.closeouts else SETTLE


def judge_of(book: Book, world: World, prices: Prices, ending: Sequence[Holding]) -> Judge:
    """What an account lacks after ``ending`` contracts end: cash and free shares, or a margin account's buying power.

    Cash that secures other puts is not there for it.
    """
    shares = {symbol: available_qty(book, symbol) for symbol in book.positions}
    if book.type == "cash":
        return cash_judge(book.cash - book.reserved_money - _securing_money(book, world, ending), shares, prices)

    def lacks(change: NetChange) -> int:
        power = figures(book, world).buying_power_money
        missing = max(0, -change.cash_money - power)
        for symbol, qty in change.shares.items():
            held = max(0, shares.get(symbol, 0))
            if -qty > held and book.no_shorting:
                missing += max(1, value_money(prices.get(symbol, 0), -qty - held))
        return missing

    return lacks


def _without(held: Holdings, ending: Sequence[Holding], change: NetChange, world: World) -> Holdings | None:
    """The book after contracts have ended; None where a price or a contract's terms are not known."""
    options = [
        option_position(holding.instrument, -(holding.qty // QTY_PER_SHARE), world.mark(holding.instrument.symbol))
        for holding in ending
    ]
    underlyings = [underlying_of(symbol, world) for symbol in change.shares]
    if None in options or None in underlyings:
        return None
    return apply(
        held,
        Change(
            change.cash_money,
            tuple(option for option in options if option is not None),
            tuple(change.shares.items()),
            tuple(underlying for underlying in underlyings if underlying is not None),
        ),
    )


def _securing_money(book: Book, world: World, ending: Sequence[Holding]) -> int:
    """Cash of a cash account that secures short puts which do not end with these (margin-and-options §1)."""
    held = holdings_of(book, world, trade_date(world), book.cash)
    left = _without(held, ending, NetChange(0, {}), world) if held is not None else None
    if left is None:
        return 0
    return max(
        0, book.cash - world.requirements.account(profile_of(book.margin_profile, "cash"), left).available_money
    )


def _early_judge(book: Book, holding: Holding, world: World, prices: Prices) -> Judge:
    """What an account lacks after an early exercise: own money for the book that it leaves, and free shares (§5.6).

    What takes nothing from what is available is never beyond the means. Shares that are not held are sold short where
    the account may do that.
    """
    f, held = standing(book, world)
    if held is None:
        return judge_of(book, world, prices, (holding,))
    profile = profile_of(book.margin_profile, book.type)
    before = world.requirements.account(profile, held).available_money
    promised = payable_money(book) + -(-book.reserved_money // f.multiplier)
    may_sell_short = may_short(book, f.equity_money)

    def lacks(change: NetChange) -> int:
        missing = 0
        for symbol, qty in change.shares.items():
            free = max(0, available_qty(book, symbol))
            behind_calls = free_of_cover_qty(book, symbol, world)
            if may_sell_short and behind_calls is None:
                continue
            free = free if behind_calls is None else min(free, behind_calls)
            if -qty > free:
                missing += max(1, value_money(prices.get(symbol, 0), -qty - free))
        left = _without(held, (holding,), change, world)
        if left is None:
            return missing + judge_of(book, world, prices, (holding,))(change)
        after = world.requirements.account(profile, left).available_money
        missing += max(0, min(promised - after, before - after))
        if f.multiplier == 1 and after < before:
            missing = max(missing, -change.cash_money - f.buying_power_money)
        return missing

    return lacks


def _requested(
    book: Book, symbol: str, qty: str | None, kind: Kind, world: World, *, even_promised: bool = False
) -> tuple[Instrument, int] | Refusal:
    """The contract and the quantity that a request means, or why it cannot be taken.

    ``even_promised``: what open orders hold counts too.
    """
    if world.switches and kind == "exercise" and (refused := trading_refusal(world)) is not None:
        return refused
    session = world.session
    instrument = world.instruments.find(symbol)
    position = book.positions.get(instrument.symbol) if instrument is not None else None
    held = position.qty if position is not None else 0
    promised = instrument is not None and held > 0 and not even_promised
    free = available_qty(book, instrument.symbol) if promised and instrument is not None else held
    wanted = free
    if qty is not None:
        try:
            wanted = parse_qty(qty)
        except BadNumber:
            return refuse("invalid_contracts", "qty", qty=qty[:24])
    if session is None:
        return refuse("exercise_unpriced", "symbol", missing=symbol[:24])
    moment = Moment(world.now, session.trade_date, session.core_opens_at, session.core_closes_at)
    closeout = expiry_policy(book, world) is CLOSEOUT
    refusal = check_request(instrument, free if held > 0 else held, wanted, kind, moment, closeout=closeout)
    if refusal is not None:
        return refusal
    assert instrument is not None
    return instrument, wanted // QTY_PER_SHARE * QTY_PER_SHARE


def _prices(instrument: Instrument, world: World) -> dict[str, int]:
    names = {part.symbol for part in instrument.deliverables if part.kind != "cash"} or {instrument.underlying}
    return {name: price for name in sorted(names) if (price := world.mark(name))}


def _touch(instrument: Instrument, world: World) -> Touch | None:
    slot = world.board.slots.get(instrument.symbol)
    quote = slot.quote if slot is not None else None
    return Touch(quote.bid, quote.ask) if quote is not None else None


def _refused(draft: Draft, method: str, refusal: Refusal) -> Refusal:
    draft.emit(e.CommandRefused(method, refusal.reason, refusal.numbers))
    return refusal
