"""Mailboxes: bounded, with places kept for cancels, and fair between accounts."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from actors.mailbox import Mail, Mailroom


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


def test_mail_of_the_engine_is_next_and_never_refused_but_gets_ahead_of_nothing_that_has_begun() -> None:
    room = Mailroom(capacity=2, reserved=0)
    seen: list[str] = []

    def mail(name: str) -> Mail:
        return lambda: seen.append(name)

    def take() -> None:
        taken = room.take()
        assert taken is not None
        taken[1]()

    assert room.put(1, mail("first"))
    assert room.put(1, mail("last"))
    room.put_next(1, mail("look"))
    assert (room.depth(1), room.waiting) == (3, 3)
    take()
    taken = room.take()
    assert taken is not None
    room.park(*taken)
    room.put_next(1, mail("while it is parked"))
    assert (room.waiting, room.take()) == (0, None)
    room.unpark(1)
    room.put_next(1, mail("before it is taken anew"))
    assert room.waiting == 4
    for _ in range(4):
        take()
    assert seen == ["look", "first", "before it is taken anew", "while it is parked", "last"]
    assert (room.waiting, room.busy, room.waiting_max) == (0, False, 4)


@given(st.lists(st.tuples(st.sampled_from(("put", "next", "take", "park", "unpark")), st.integers(1, 3))))
def test_what_waits_is_what_can_be_taken_however_accounts_are_parked(acts: list[tuple[str, int]]) -> None:
    room = Mailroom(capacity=4, reserved=1)
    parked: set[int] = set()
    here = dict.fromkeys((1, 2, 3), 0)
    for act, no in acts:
        if act == "put":
            here[no] += room.put(no, nothing)
        elif act == "next":
            room.put_next(no, nothing)
            here[no] += 1
        elif act == "unpark" and no in parked:
            room.unpark(no)
            parked.remove(no)
        elif act in ("take", "park") and (taken := room.take()) is not None:
            assert taken[0] not in parked
            if act == "park":
                room.park(*taken)
                parked.add(taken[0])
            else:
                here[taken[0]] -= 1
        assert {no: room.depth(no) for no in here} == here
        assert room.waiting == sum(count for no, count in here.items() if no not in parked)
        assert room.busy is any(here.values())
    for no in parked:
        room.unpark(no)
    for _ in range(sum(here.values())):
        assert room.take() is not None
    assert not room.busy
