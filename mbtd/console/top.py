"""``mbtd top``: rates, latencies, feed age and the busiest accounts, live, with textual."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.widgets import DataTable, Footer, Static

from mbtd.cli import exits
from mbtd.console.screens import sample, status_text
from mbtd.rpc.client import Client
from mbtd.rpc.wire import ConnectionLost, RpcRefusal

ACCOUNT_COLUMNS = ("name", "status", "orders", "positions", "events", "events/s", "mail")
CLIENT_COLUMNS = ("no", "uid", "pid", "role", "unanswered", "waiting_bytes")


def rates(before: dict[str, Any] | None, now: dict[str, Any], seconds: float) -> dict[str, float]:
    """Events, groups and market messages a second between two samples."""
    if before is None or seconds <= 0:
        return {"events": 0.0, "groups": 0.0, "messages": 0.0}
    old, new = before["health"], now["health"]
    return {
        "events": (new["storage"]["seq"] - old["storage"]["seq"]) / seconds,
        "groups": (new["storage"]["groups"] - old["storage"]["groups"]) / seconds,
        "messages": (new["engine"]["tape_seq"] - old["engine"]["tape_seq"]) / seconds,
    }


class Top(App[int]):
    """The screen."""

    TITLE = "mbtd top"
    CSS = "#status { height: auto; padding: 0 1; } #rates { height: auto; padding: 0 1; } DataTable { height: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [("q", "quit", "Quit")]

    def __init__(self, client: Client, every_s: float) -> None:
        super().__init__()
        self._client = client
        self._every_s = max(0.2, every_s)
        self._last: dict[str, Any] | None = None
        self._last_at = 0.0

    def compose(self) -> ComposeResult:
        """Status, rates, accounts, clients."""
        yield Static(id="status", markup=False)
        yield Static(id="rates", markup=False)
        yield DataTable(id="accounts", cursor_type="none")
        yield DataTable(id="clients", cursor_type="none")
        yield Footer()

    def on_mount(self) -> None:
        """Begin."""
        self.query_one("#accounts", DataTable).add_columns(*ACCOUNT_COLUMNS)
        self.query_one("#clients", DataTable).add_columns(*CLIENT_COLUMNS)
        self.refresh_now()
        self.set_interval(self._every_s, self.refresh_now)

    def refresh_now(self) -> None:
        """Ask and show."""
        try:
            found = sample(self._client)
        except (ConnectionLost, RpcRefusal, OSError) as error:
            self.query_one("#status", Static).update(f"no answer: {error}")
            return
        at = time.monotonic()
        self._show(found, at - self._last_at)
        self._last, self._last_at = found, at

    def _show(self, found: dict[str, Any], seconds: float) -> None:
        figures = rates(self._last, found, seconds)
        self.query_one("#status", Static).update(status_text(found["health"]))
        levels = ", ".join(
            f"{name} {value['share']:.4%} (target {value['target']:.1%})" for name, value in found["slo"].items()
        )
        self.query_one("#rates", Static).update(
            f"{figures['events']:.0f} events/s, {figures['groups']:.0f} commits/s, "
            f"{figures['messages']:.0f} market messages/s; {levels}"
        )
        before = {row["no"]: row["events"] for row in self._last["accounts"]} if self._last else {}
        table = self.query_one("#accounts", DataTable)
        table.clear()
        for row in found["accounts"]:
            rate = (row["events"] - before.get(row["no"], row["events"])) / seconds if seconds > 0 else 0.0
            values = {**row, "events/s": f"{rate:.0f}"}
            table.add_row(*(str(values[name]) for name in ACCOUNT_COLUMNS))
        clients = self.query_one("#clients", DataTable)
        clients.clear()
        for row in found["clients"]:
            clients.add_row(*(str(row[name]) for name in CLIENT_COLUMNS))


def main(client: Client, every_s: float) -> int:
    """Show it until the operator quits."""
    with client:
        client.connect()
        Top(client, every_s).run()
    return exits.DONE
