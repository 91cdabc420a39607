"""Mailboxes: bounded, with places kept for cancels, and fair between accounts."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from actors.mailbox import Mailroom


def nothing() -> None:
    """Mail without effect."""


def test_the_last_places_are_for_cancels_and_reductions() -> None:
    room = Mailroom(capacity=10, reserved=3)
    assert [room.put(1, nothing) for _ in range(8)] == [True] * 7 + [False]
    assert [room.put(1, nothing, privileged=True) for _ in range(4)] == [True] * 3 + [False]
    assert room.put(2, nothing)
    assert (room.depth(1), room.depth(2), room.waiting) == (10, 1, 11)


def test_a_flooded_account_delays_nobody_by_more_than_a_round() -> None:
    room = Mailroom(capacity=30_000, reserved=0)
    for _ in range(20_000):
        room.put(1, nothing)
    for account_no in range(2, 102):
        room.put(account_no, nothing)
    served = [taken[0] for _ in range(101) if (taken := room.take()) is not None]
    assert sorted(served) == list(range(1, 102))


@given(st.lists(st.tuples(st.integers(1, 4), st.booleans())))
def test_every_mail_comes_once_and_in_order_within_its_account(puts: list[tuple[int, bool]]) -> None:
    room = Mailroom(capacity=6, reserved=2)
    kept: list[tuple[int, int]] = []
    seen: list[tuple[int, int]] = []
    for number, (account_no, privileged) in enumerate(puts):
        mail = (account_no, number)
        if room.put(account_no, lambda mail=mail: seen.append(mail), privileged):  # type: ignore[misc]
            kept.append(mail)
        elif number % 2 and (taken := room.take()) is not None:
            taken[1]()
    while (taken := room.take()) is not None:
        taken[1]()
    assert Counter(seen) == Counter(kept)
    for account_no in range(1, 5):
        mine = [number for account, number in seen if account == account_no]
        assert mine == sorted(mine)
    assert room.waiting == 0
    assert room.take() is None
