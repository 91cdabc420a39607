"""The pump: the only task that runs the engine. It alternates commands and tape and yields every millisecond.

Invariants: one pump an engine; between two awaits nothing else touches the engine; commands get their place when
their turn starts; a paused tape or paused commands simply wait in their queues. The clock is handed in, so a
virtual clock drives the very same loop. A turn that needs a long search is parked: the search is made outside, then
the turn begins anew with what was found, and its account's other mail waits meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from actors.book.rules.margin.outside import Found, Search, SearchNeeded
from actors.commands import LookAtMargin
from actors.engine import Engine
from actors.inputs import Envelope
from actors.mailbox import Mail, Mailroom
from actors.market.messages import Quote, TapeMessage, Trade
from actors.timers import NEVER

TURNS_PER_ROUND = 32
MESSAGES_PER_ROUND = 256
TIMERS_PER_ROUND = 32
OFFENDERS_MAX = 1_000
Searcher = Callable[[Search], Awaitable[Found | None]]
"""Makes a search without holding up whoever waits; null when it cannot."""
_NOTHING: Final[dict[bytes, Found]] = {}


class Pump:
    """Feeds the engine from the mailroom and the tape.

    ``now`` gives engine time for commands and timers, ``monotonic`` time for budgets, both in nanoseconds;
    ``after`` is called after every burst of work, ``applied`` with tape messages that the engine has applied and
    the number of the first. ``search`` makes a search without holding up this task, and gives null when it cannot;
    without it searches are made in the turns that need them.
    """

    def __init__(
        self,
        engine: Engine,
        mailroom: Mailroom,
        *,
        now: Callable[[], int],
        monotonic: Callable[[], int],
        after: Callable[[], None],
        applied: Callable[[Sequence[TapeMessage], int], None] | None = None,
        slice_ns: int = 1_000_000,
        turn_budget_ns: int = 2_000_000,
        search: Searcher | None = None,
    ) -> None:
        self.engine = engine
        self.mailroom = mailroom
        self.now = now
        self._monotonic = monotonic
        self._after = after
        self._applied = applied
        self._slice_ns = slice_ns
        self._turn_budget_ns = turn_budget_ns
        self._search = search
        self._found: dict[int, dict[bytes, Found] | None] = {}
        """What was found so far for the first mail of parked accounts; null where it is decided in its turn."""
        self._tasks: TaskGroup | None = None
        self._looking: dict[int, bool] = {}
        """Accounts of which a look is queued or parked, and whether a transaction reduced their level."""
        if search is not None:
            engine.world.looks = {}
        self._tape: deque[Sequence[TapeMessage]] = deque()
        self._wakeup: anyio.Event | None = None
        self._alarm: anyio.CancelScope | None = None
        self._rings_at = NEVER
        self.backlog = 0
        """Tape messages that the engine has not taken yet."""
        self.tape_paused = False
        """No matching: storage trouble or a kill switch."""
        self.commands_paused = False
        self.longest_slice_ns = 0
        self.offenders: dict[int, int] = {}
        """Accounts of which turns took longer than the budget, and how many did."""
        self.searches = 0
        """Searches made outside of turns."""
        self.turns = 0
        """Slices begun so far, for the watchdog."""

    def push(self, messages: Sequence[TapeMessage]) -> None:
        """Append to the tape. Never waits."""
        if messages:
            self._tape.append(messages)
            self.backlog += len(messages)
            self.wake()

    def drop_tape(self) -> int:
        """Forget waiting quotes and prints; returns how many. Whoever does this owes the engine a gap.

        Sessions, statuses and feed states are kept: what they say cannot be learnt again from the next quote.
        """
        kept = [m for batch in self._tape for m in batch if not isinstance(m, Quote | Trade)]
        dropped = self.backlog - len(kept)
        self._tape.clear()
        self.backlog = len(kept)
        if kept:
            self._tape.append(kept)
        return dropped

    def wake(self) -> None:
        """There is something to do."""
        if self._wakeup is not None:
            self._wakeup.set()
            self._wakeup = None

    async def run(self) -> None:
        """Pump until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._ring)
            self._tasks = tasks
            while True:
                if self.spin():
                    await anyio.lowlevel.checkpoint()
                else:
                    await self._wait()

    async def _wait(self) -> None:
        if self._alarm is not None and self._next_due() < self._rings_at:
            self._alarm.cancel()
        event = self._wakeup = anyio.Event()
        await event.wait()

    async def _ring(self) -> None:
        """The alarm: wakes the pump when something falls due, and is set anew only for an earlier instant.

        A deadline of its own for every wait would cost as much as a small command.
        """
        while True:
            with anyio.CancelScope() as self._alarm:
                due = self._rings_at = self._next_due()
                if due != NEVER:
                    await anyio.sleep(max(0.0, (due - self.now()) / 1e9))
                    self._rings_at = NEVER
                    self.wake()
                await anyio.sleep_forever()

    def _next_due(self) -> int:
        return NEVER if self.tape_paused else self.engine.waits.timers.next_due

    def spin(self) -> bool:
        """Work for at most a slice; whether there was anything to do."""
        started = self._monotonic()
        self.turns += 1
        busy = False
        while True:
            worked = self._round(started + self._slice_ns)
            busy = busy or worked
            elapsed = self._monotonic() - started
            if not worked or elapsed >= self._slice_ns:
                break
        if elapsed > self.longest_slice_ns:
            self.longest_slice_ns = elapsed
        self._after()
        return busy

    def _round(self, until: int) -> bool:
        worked = False
        if not self.tape_paused:
            now = self.now()
            if self.engine.waits.timers.next_due <= now:
                worked = True
                if self.engine.run_due(now, TIMERS_PER_ROUND):
                    return True
        if not self.commands_paused:
            worked = self._run_mail(until) or worked
        if not self.tape_paused:
            worked = self._run_tape() or worked
        if looks := self.engine.world.looks:
            self._put_looks(looks)
            worked = True
        return worked

    def _run_mail(self, until: int) -> bool:
        """Turns of accounts with mail; not beyond ``until`` by more than one."""
        take, clock, budget = self.mailroom.take, self._monotonic, self._turn_budget_ns
        worked = False
        before = clock()
        parks = self._search is not None
        for _ in range(TURNS_PER_ROUND):
            taken = take()
            if taken is None:
                break
            if parks:
                self._turn(*taken)
            else:
                taken[1]()
            worked = True
            after = clock()
            if after - before > budget:
                self._note_offender(taken[0])
            if after >= until:
                break
            before = after
        return worked

    # ── searches outside of turns ────────────────────────────────────────────────────────────────────────

    def _turn(self, account_no: int, mail: Mail) -> None:
        """A turn that may be parked."""
        engine = self.engine
        engine.outside = self._found.pop(account_no, _NOTHING) if self._found else _NOTHING
        found = engine.outside
        try:
            mail()
        except SearchNeeded as needed:
            self.mailroom.park(account_no, mail)
            assert self._tasks is not None
            self._tasks.start_soon(self._find, account_no, needed.search, dict(found or {}))
        finally:
            engine.outside = None

    async def _find(self, account_no: int, search: Search, found: dict[bytes, Found]) -> None:
        assert self._search is not None
        one = await self._search(search)
        if one is not None:
            found[search.name] = one
            self.searches += 1
        self._found[account_no] = found if one is not None else None
        self.mailroom.unpark(account_no)
        self.wake()

    def _put_looks(self, looks: dict[int, bool]) -> None:
        """Have margins looked at for which bounds were not enough, each in a turn of its own before other mail."""
        for account_no, reduced in looks.items():
            known = self._looking.get(account_no)
            if known is None:
                self.mailroom.put_next(account_no, partial(self._look, account_no))
            self._looking[account_no] = reduced or bool(known)
        looks.clear()

    def _look(self, account_no: int) -> None:
        engine = self.engine
        if account_no in engine.books and not engine.books[account_no].quarantined:
            action = LookAtMargin(reduced=self._looking[account_no])
            engine.command(account_no, action, self.now(), Envelope(origin="system"))
        del self._looking[account_no]

    def _note_offender(self, account_no: int) -> None:
        if account_no in self.offenders or len(self.offenders) < OFFENDERS_MAX:
            self.offenders[account_no] = self.offenders.get(account_no, 0) + 1

    def _run_tape(self) -> bool:
        if not self._tape:
            return False
        engine, quote = self.engine, self.engine.quote
        batch = self._tape.popleft()
        if len(batch) > MESSAGES_PER_ROUND:
            self._tape.appendleft(batch[MESSAGES_PER_ROUND:])
            batch = batch[:MESSAGES_PER_ROUND]
        self.backlog -= len(batch)
        first_seq = engine.world.tape_seq + 1
        for message in batch:
            if type(message) is Quote:
                quote(message)
            else:
                engine.tape(message)
        if self._applied is not None:
            self._applied(batch, first_seq)
        return True
