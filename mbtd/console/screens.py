"""What ``mbtd status`` and ``mbtd top`` show, from answers of the daemon. No engine, no storage."""

from __future__ import annotations

from typing import Any

from mbtd.cli import output
from mbtd.rpc.client import Client

RUNBOOK = "docs/runbook"


def status_text(health: dict[str, Any]) -> str:
    """One screen for a tired person."""
    engine, storage, feed = health["engine"], health["storage"], health["feed"]
    age = f"{feed['age_ms'] / 1000:.1f} s old" if feed["age_ms"] is not None else "nothing yet"
    lines = [
        f"mbtd {health['version']}: {health['status'].upper()}",
        f"  since      {health['started_at'][:19]}Z, now {health['now'][:19]}Z, data epoch {health['data_epoch']}",
        f"  market     {feed['name']} {feed['state']}, newest message {age}, session {engine['session']}",
        f"  accounts   {engine['accounts']} ({engine['resident']} in memory, {engine['quarantined']} quarantined), "
        f"{engine['live_orders']} live orders",
        f"  waiting    {engine['waiting_commands']} commands, {engine['tape_backlog']} market messages",
        f"  storage    {storage['state']}, event {storage['seq']}, on disk {storage['durable_seq']}, "
        f"longest commit {storage['commit_max_ms']:.1f} ms",
    ]
    if feed.get("reason"):
        lines.append(f"  feed       {feed['reason']}")
    if problem := health.get("reference", {}).get("problem"):
        lines.append(f"  reference  {problem}")
    marks = health.get("last", {})
    if marks:
        lines.append("  last good  " + ", ".join(f"{kind} {at[:16]}Z" for kind, at in marks.items()))
    for name, switch in health.get("switches", {}).items():
        for source, held in switch["sources"].items():
            lines.append(f"  SWITCH     {name} by {source} ({held['by']}) since {held['since'][:19]}Z: {held['why']}")
    passed = [
        f"{name} {seen['times']}x, last {seen['last'][:19]}Z" for name, seen in health.get("lately", {}).items()
    ]
    if passed:
        lines.append("  since then " + "; ".join(passed))
    for reason in health["reasons"]:
        lines.append(f"  reason     {reason}: {RUNBOOK}/{reason}.md")
    return "\n".join(output.plain(line) for line in lines)


def sample(client: Client) -> dict[str, Any]:
    """Everything that the live view shows, at one moment."""
    health = client.call("health.get")
    return {
        "health": health,
        "accounts": client.call("admin.show", what="accounts", limit=20)["accounts"],
        "clients": client.call("admin.show", what="clients", limit=20)["clients"],
        "slo": client.call("admin.show", what="metrics")["metrics"],
    }
