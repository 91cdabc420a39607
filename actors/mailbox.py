"""Mailboxes of all accounts and the run queue that gives them fair turns.

Invariants: a mailbox holds only what is not sequenced yet; it is bounded, and its last places are kept for
cancels and reductions; an account with mail stands in the run queue exactly once, save a parked one, whose mail waits
until its first piece can go on; an idle account costs nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

Mail = Callable[[], None]
"""A command or read that runs when its turn comes."""


class Mailroom:
    """Mail by account, first in, first out within an account, round robin between accounts."""

    __slots__ = ("_begun", "_boxes", "_parked", "_ready", "capacity", "refused", "reserved", "waiting", "waiting_max")

    def __init__(self, capacity: int = 256, reserved: int = 32) -> None:
        self.capacity = capacity
        self.reserved = reserved
        self._boxes: dict[int, list[Mail]] = {}
        """Lists: most boxes hold one piece of mail, and none more than some hundreds."""
        self._ready: deque[int] = deque()
        self._parked: set[int] = set()
        self._begun: set[int] = set()
        """Accounts whose first piece was parked and has not been taken anew: nothing gets ahead of it."""
        self.waiting = 0
        """Mail that can be taken."""
        self.waiting_max = 0
        """The most there ever was, for operators."""
        self.refused = 0
        """Mail that found its box full, for operators."""

    def put(self, account_no: int, mail: Mail, privileged: bool = False) -> bool:
        """Queue mail; ``False`` when the box is full. ``privileged`` mail may use the reserved places."""
        box = self._boxes.get(account_no)
        if box is None:
            self._boxes[account_no] = [mail]
            self._ready.append(account_no)
        else:
            if len(box) >= (self.capacity if privileged else self.capacity - self.reserved):
                self.refused += 1
                return False
            box.append(mail)
            if account_no in self._parked:
                return True
        self._count(1)
        return True

    def put_next(self, account_no: int, mail: Mail) -> None:
        """Queue mail of the engine's own ahead of all that waits, save what was parked; it always finds a place."""
        box = self._boxes.get(account_no)
        if box is None:
            self._boxes[account_no] = [mail]
            self._ready.append(account_no)
        else:
            box.insert(1 if account_no in self._begun else 0, mail)
            if account_no in self._parked:
                return
        self._count(1)

    def _count(self, more: int) -> None:
        self.waiting += more
        if self.waiting > self.waiting_max:
            self.waiting_max = self.waiting

    def take(self) -> tuple[int, Mail] | None:
        """The next account's oldest mail; the account goes to the end of the queue if it has more."""
        if not self._ready:
            return None
        account_no = self._ready.popleft()
        box = self._boxes[account_no]
        mail = box.pop(0)
        if self._begun:
            self._begun.discard(account_no)
        if box:
            self._ready.append(account_no)
        else:
            del self._boxes[account_no]
        self.waiting -= 1
        return account_no, mail

    def park(self, account_no: int, mail: Mail) -> None:
        """Put mail that was just taken back at the front; the account has no turns until :meth:`unpark`."""
        box = self._boxes.get(account_no)
        if box is None:
            self._boxes[account_no] = [mail]
        else:
            self._ready.remove(account_no)
            self.waiting -= len(box)
            box.insert(0, mail)
        self._parked.add(account_no)
        self._begun.add(account_no)

    def unpark(self, account_no: int) -> None:
        """Let a parked account have its turns again."""
        self._parked.remove(account_no)
        self._ready.append(account_no)
        self._count(len(self._boxes[account_no]))

    @property
    def parked(self) -> int:
        """Accounts whose mail waits for something outside."""
        return len(self._parked)

    @property
    def busy(self) -> bool:
        """Whether there is any mail, parked or not."""
        return bool(self._boxes)

    def depth(self, account_no: int) -> int:
        """How much mail an account has."""
        box = self._boxes.get(account_no)
        return len(box) if box is not None else 0
