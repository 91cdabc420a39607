"""The projection tables as the writing and reading sides know them: names, columns in order, key width.

The primary key of each is its leading ``key_width`` columns. The DDL is in ``storage/migrations``; a test
holds the two together. Every table is rebuilt from the archive or the journal, none is the only home of a
fact; only ``mark_outs`` follows from the tape beside them.
"""

from __future__ import annotations

from msgspec import Struct

from storage.errors import ProjectionFault
from storage.records import Lookup, Row


class Table(Struct, frozen=True):
    """One projection table."""

    name: str
    columns: tuple[str, ...]
    key_width: int

    @property
    def key(self) -> tuple[str, ...]:
        return self.columns[: self.key_width]

    def upsert(self) -> str:
        """Replaces the row of the same key; another unique index in the way is an error, not a deletion."""
        rest = self.columns[self.key_width :]
        return (
            f"INSERT INTO {self.name} ({', '.join(self.columns)}) "
            f"VALUES ({', '.join('?' * len(self.columns))}) "
            f"ON CONFLICT ({', '.join(self.key)}) DO UPDATE SET "
            + ", ".join(f"{column} = excluded.{column}" for column in rest)
        )

    def select(self) -> str:
        where = " AND ".join(f"{column} = ?" for column in self.key)
        return f"SELECT {', '.join(self.columns)} FROM {self.name} WHERE {where}"


def _table(name: str, key_width: int, columns: str) -> Table:
    return Table(name, tuple(columns.split()), key_width)


TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        _table("archive", 2, "account_no n seq at kind order_no body"),
        _table(
            "orders",
            2,
            "account_no order_no order_id client_order_id symbol side status live submitted_at updated_at body",
        ),
        _table("fills", 2, "account_no fill_no fill_id order_no order_id symbol at body"),
        _table("activities", 2, "account_no n activity_id activity_type at dated body"),
        _table("closed_lots", 3, "account_no n lot_no symbol at body"),
        _table("days", 2, "account_no trade_date at body"),
        _table("mark_outs", 3, "account_no order_no fill_no at done body"),
        _table("accounts", 1, "account_no account_id name user_id status body"),
    )
}


class Pending:
    """The rows of one projection run, latest of each key, over what is stored already."""

    def __init__(self, stored: Lookup) -> None:
        self._stored = stored
        self._rows: dict[str, dict[tuple[object, ...], tuple[object, ...]]] = {}

    def lookup(self, table: str, key: tuple[object, ...]) -> tuple[object, ...] | None:
        """A row of this run, else the stored one, else None."""
        _known(table)
        row = self._rows.get(table, {}).get(key)
        return row if row is not None else self._stored(table, key)

    def add(self, row: Row) -> None:
        """Take a row. Raises ``ProjectionFault`` for an unknown table or a wrong number of values."""
        name, values = row
        table = _known(name)
        if len(values) != len(table.columns):
            raise ProjectionFault(f"{name} has {len(table.columns)} columns, the row has {len(values)}")
        self._rows.setdefault(name, {})[values[: table.key_width]] = values

    def rows(self) -> dict[str, list[tuple[object, ...]]]:
        """What is to be written, by table."""
        return {name: list(rows.values()) for name, rows in self._rows.items()}


def _known(name: str) -> Table:
    table = TABLES.get(name)
    if table is None:
        raise ProjectionFault(f"there is no projection table {name!r}; known: {', '.join(TABLES)}")
    return table
