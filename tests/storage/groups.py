"""Groups and a small projection for tests of the store; what a body says is nobody's business here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from storage.ports import Store
from storage.records import Group, Head, Lookup, Row, Snapshot


def group_after(head: Head, events: int = 1, body: bytes | None = None, moved: bytes = b"") -> Group:
    """The next group, of so many events; without a body it says who it is."""
    seq_last = head.seq + events
    return Group(
        head.epoch,
        head.seq + 1,
        seq_last,
        head.input_seq + 1,
        head.tape_pos + 2,
        head.at + 1_000,
        b"cursor-%d" % seq_last,
        b"body-%d" % seq_last if body is None else body,
        moved,
    )


def append(store: Store, events: int = 1, body: bytes | None = None, moved: bytes = b"") -> Group:
    group = group_after(store.head(), events, body, moved)
    store.append(group)
    return group


def snapshot(account_no: int, seq: int, *, live: bool = False, next_due: int = 0, body: bytes = b"s") -> Snapshot:
    return Snapshot(account_no, seq, seq, next_due, live, body)


def count_orders(groups: Sequence[Group], lookup: Lookup) -> Iterator[Row]:
    """One order row per account, whose ``status`` counts how often the account's groups were projected."""
    for group in groups:
        account_no = 1 + group.seq_last % 3
        row = lookup("orders", (account_no, 1))
        count = int(str(row[6])) if row else 0
        yield (
            "orders",
            (
                account_no,
                1,
                f"o{account_no}",
                None,
                "AAPL",
                "buy",
                str(count + 1),
                1,
                5,
                group.at,
                group.body,
            ),
        )
        yield (
            "archive",
            (account_no, group.seq_last, group.seq_last, group.at, "order.new", None, group.body),
        )


def projected_count(store: Store) -> int:
    return sum(int(str(row[6])) for row in store.rows("orders"))
