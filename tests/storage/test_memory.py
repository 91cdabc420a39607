"""Faults on demand: what a simulation may rely on when the memory store fails an append."""

from __future__ import annotations

import pytest

from storage.errors import StaleWriter, StorageBroken, StorageFull
from storage.memory import Fault, MemoryStore
from tests.storage.groups import append, count_orders, group_after, projected_count


def failing_at(attempt: int, fault: Fault) -> MemoryStore:
    return MemoryStore(faults=lambda number: fault if number == attempt else None)


def test_full_stores_nothing_and_may_be_repeated() -> None:
    store = failing_at(2, "full")
    append(store)
    head = store.head()
    group = group_after(head)
    with pytest.raises(StorageFull):
        store.append(group)
    assert store.head() == head
    store.append(group)
    assert [kept.seq_last for kept in store.groups(0)] == [1, 2]


@pytest.mark.parametrize(("fault", "survives"), [("broken_before", False), ("broken_after", True)])
def test_broken_is_final_and_a_restart_tells_what_survived(fault: Fault, survives: bool) -> None:
    store = failing_at(2, fault)
    append(store)
    group = group_after(store.head())
    for _ in range(2):
        with pytest.raises(StorageBroken):
            store.append(group)
    with pytest.raises(StorageBroken):
        store.project(count_orders, 10)
    again = store.reopened()
    assert again.head().seq == (2 if survives else 1)
    append(again)
    again.project(count_orders, 10)
    assert projected_count(again) == len(list(again.groups(0)))


def test_the_store_before_a_restart_is_stale() -> None:
    store = MemoryStore()
    store.reopened()
    with pytest.raises(StaleWriter):
        append(store)
