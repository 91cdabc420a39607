"""Prometheus metrics (operations §9): plain numbers in the objects, rendered when somebody asks.

Invariants: base units; no account, user or symbol in a label, so the number of series is fixed; nothing is counted
that costs a plain order anything. The daemon opens no port: ``admin.metrics`` on the operators' socket answers the
text, and ``mbtd metrics --textfile`` writes it for the node exporter.
"""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from actors.book.rules.admission.switches import SWITCHES
from mbtd import __version__
from mbtd.core import Core
from mbtd.jobs.marks import Marks
from mbtd.memory import limit_bytes, resident_bytes
from mbtd.passing import Passing
from mbtd.spread import Spread

SLO_COMMIT_NS: Final = 10_000_000
"""A group should be durable within this (99 of 100)."""
SLO_LAG_NS: Final = 50_000_000
"""The loop should be this quick (999 of 1000)."""


class Metrics(Collector):
    """Collects one daemon's figures on request."""

    def __init__(self, core: Core, health: Any, marks: Marks, passing: Passing) -> None:
        self._core = core
        self._health = health
        self._marks = marks
        self._passing = passing
        self.lag = Spread()
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(self)

    def text(self) -> str:
        """The exposition, version 0.0.4."""
        return generate_latest(self.registry).decode()

    def slo(self) -> dict[str, Any]:
        """Service levels since the start: the share that was good, and the target."""
        commits, lag = self._core.commits, self.lag
        return {
            "commit_within_10ms": {"share": round(commits.share_within(SLO_COMMIT_NS), 5), "target": 0.99},
            "loop_lag_within_50ms": {"share": round(lag.share_within(SLO_LAG_NS), 5), "target": 0.999},
        }

    def collect(self) -> Iterator[Any]:
        """Every family."""
        core, health = self._core, self._health()
        info = GaugeMetricFamily("mbtd_build_info", "The release that runs.", labels=["version"])
        info.add_metric([__version__], 1)
        yield info
        yield _states(
            "mbtd_health_state", "1 for the state it is in.", health["status"], ("ok", "degraded", "stopping")
        )
        reasons = GaugeMetricFamily("mbtd_degraded_reason", "1 for each reason given now.", labels=["reason"])
        for reason in health["reasons"]:
            reasons.add_metric([reason], 1)
        yield reasons
        passed = CounterMetricFamily("mbtd_state_seen", "How often each passing state was seen.", labels=["state"])
        for name, times in self._passing.counts.items():
            passed.add_metric([name], times)
        yield passed
        switches = GaugeMetricFamily("mbtd_kill_switch", "1 while it is thrown.", labels=["switch"])
        for name in SWITCHES:
            switches.add_metric([name], float(name in core.engine.world.switches))
        yield switches
        yield from self._engine(core, health)
        yield from self._storage(core)
        yield from self._process(core)

    def _engine(self, core: Core, health: dict[str, Any]) -> Iterator[Any]:
        engine, feed = health["engine"], health["feed"]
        yield _gauge("mbtd_accounts", "Accounts that are registered.", engine["accounts"])
        yield _gauge("mbtd_accounts_resident", "Accounts in memory.", engine["resident"])
        yield _gauge("mbtd_accounts_quarantined", "Accounts that only answer reads.", engine["quarantined"])
        yield _gauge("mbtd_orders_live", "Live orders in memory.", engine["live_orders"])
        yield _gauge("mbtd_mailbox_waiting", "Commands in all mailboxes.", engine["waiting_commands"])
        yield _gauge("mbtd_mailbox_waiting_max", "The most there ever was.", engine["waiting_commands_max"])
        yield _gauge("mbtd_tape_backlog", "Market messages that the engine has not taken.", engine["tape_backlog"])
        yield _counter("mbtd_tape_messages", "Market messages applied.", engine["tape_seq"])
        yield _counter("mbtd_tape_overflows", "Times the tape overflowed.", engine["tape_overflows"])
        yield _counter("mbtd_margin_searches", "Searches for pairings made outside of turns.", core.pump.searches)
        yield _gauge("mbtd_slice_longest_seconds", "Longest slice of the pump.", core.pump.longest_slice_ns / 1e9)
        yield _counter("mbtd_events", "Events so far.", core.engine.seq)
        yield _counter("mbtd_inputs", "Inputs so far.", core.engine.input_seq)
        yield _states("mbtd_feed_state", "1 for the state the feed is in.", feed["state"], ())
        if feed["age_ms"] is not None:
            yield _gauge("mbtd_feed_age_seconds", "Age of the newest market message.", feed["age_ms"] / 1e3)

    def _storage(self, core: Core) -> Iterator[Any]:
        yield _states("mbtd_storage_state", "1 for the state it is in.", core.storage_state, ("ok", "full"))
        yield _gauge(
            "mbtd_durable_lag_events", "Events that are not on disk yet.", core.engine.seq - core.outbox.durable_seq
        )
        yield _gauge(
            "mbtd_projection_lag_events",
            "Events that history does not show yet.",
            core.outbox.durable_seq - core.projected_seq,
        )
        commits = HistogramMetricFamily("mbtd_commit_seconds", "Time to make a group durable.")
        commits.add_metric([], buckets=core.commits.buckets(), sum_value=core.commits.sum_ns / 1e9)
        yield commits
        lag = HistogramMetricFamily("mbtd_loop_lag_seconds", "How late the loop wakes.")
        lag.add_metric([], buckets=self.lag.buckets(), sum_value=self.lag.sum_ns / 1e9)
        yield lag
        sizes = GaugeMetricFamily("mbtd_file_bytes", "Size of the store's files.", labels=["file"])
        for path in _files(core.directory):
            sizes.add_metric([str(path.relative_to(core.directory))], path.stat().st_size)
        yield sizes
        yield _gauge("mbtd_disk_free_bytes", "Free where the state is.", shutil.disk_usage(core.directory).free)
        for name, mark in self._marks.read().items():
            yield _gauge(f"mbtd_last_{name}_timestamp_seconds", f"When the last good {name} ended.", mark)

    def _process(self, core: Core) -> Iterator[Any]:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        yield _counter("mbtd_cpu_seconds", "Processor time used.", usage.ru_utime + usage.ru_stime)
        yield _gauge("mbtd_resident_bytes", "Memory in use.", resident_bytes())
        if limit := limit_bytes():
            yield _gauge("mbtd_memory_limit_bytes", "Memory that the control group allows.", limit)
        yield _gauge("mbtd_open_files", "Open descriptors.", len(os.listdir("/proc/self/fd")))
        for name, value in self.slo().items():
            yield _gauge(f"mbtd_slo_{name}_ratio", "Share within the service level since the start.", value["share"])


def _files(directory: Path) -> list[Path]:
    journal = directory / "journal"
    return [path for place in (directory, journal) for path in sorted(place.glob("mbtd.sqlite3*")) if path.is_file()]


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)


def _counter(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(name, text, value=value)


def _states(name: str, text: str, state: str, known: tuple[str, ...]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=["state"])
    for each in dict.fromkeys((*known, state)):
        family.add_metric([each], float(each == state))
    return family
