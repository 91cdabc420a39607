"""The outbox: what leaves the process names the event number it depends on and waits until that is durable.

Invariants: everything leaves in the order it was put in; nothing leaves before its number is durable; after a
storage failure nothing leaves any more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

Delivery = Callable[[], None]


def _nothing() -> None:
    """What happens when nobody waits for a delivery's outcome."""


class Outbox:
    """Deliveries in order, each behind an event number."""

    __slots__ = ("_waiting", "durable_seq", "sealed")

    def __init__(self, durable_seq: int) -> None:
        self.durable_seq = durable_seq
        self._waiting: deque[tuple[int, Delivery, Delivery]] = deque()
        self.sealed = False
        """Nothing leaves: what is durable is unknown."""

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, seq: int, deliver: Delivery, give_up: Delivery = _nothing) -> None:
        """Deliver once ``seq`` is durable, after everything put in before.

        ``give_up`` tells whoever waits that the outcome is unknown, when the disk stays full.
        """
        if seq <= self.durable_seq and not self._waiting and not self.sealed:
            deliver()
        else:
            self._waiting.append((seq, deliver, give_up))

    def give_up(self) -> int:
        """Tell everybody who waits that the outcome is unknown; returns how many there were.

        The deliveries stay: an answer to a request that was answered is dropped by its connection.
        """
        for _, _, give_up in self._waiting:
            give_up()
        count = len(self._waiting)
        self._waiting = deque((seq, deliver, _nothing) for seq, deliver, _ in self._waiting)
        return count

    def on_durable(self, seq: int) -> None:
        """Everything up to ``seq`` is on disk."""
        self.durable_seq = max(self.durable_seq, seq)
        waiting = self._waiting
        while waiting and waiting[0][0] <= seq and not self.sealed:
            waiting.popleft()[1]()

    def seal(self) -> int:
        """Let nothing leave any more; returns how much never will."""
        self.sealed = True
        lost = len(self._waiting)
        self._waiting.clear()
        return lost
