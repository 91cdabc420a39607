"""Every bench runs at its smallest and prints what the contract names. Nothing here is timed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench.__main__ import LATER, main
from tests.bench.passive import RECORDINGS

SMALLEST = [
    (
        "orders --clients 2 --accounts 4 --saturated --seconds 0.2 --reps 1 --symbols 8 --kind mixed --rate 200 --state-in {}",
        {"acks_per_s", "ack_p50_us", "ack_p99_us", "ack_p999_us", "ratio_rows_b64", "ratio_frame_b1", "fills_per_s"},
    ),
    (
        "quotes --resting 20 --symbols 16 --accounts 1001 --near 2 --reps 1 --frames 8",
        {"quotes_per_s", "ns_per_quote", "decode_ns_per_quote", "ns_per_quote_many_accounts", "us_per_near"},
    ),
    ("recovery --events 300 --snapshots 5 --reps 1 --state-in {}", {"events_s", "snapshots_s"}),
    (
        "idle --accounts 20 --few 10 --wakes 5 --state-in {}",
        {"bytes_per_account", "bytes_per_account_anew", "wake_p99_us"},
    ),
    (
        "margin --reps 1 --books 2",
        {
            "cold_ms",
            "cold_worst_ms",
            "cold_random_ms",
            "tick_ms",
            "condor_us",
            "condor_worst_us",
            "unproved_ppm",
            "large_turn_ms",
            "large_turn_short_of_money_ms",
        },
    ),
    (
        "inprocess --clients 2 --symbols 4 --kind both --rounds 4",
        {"read_us", "turn_us", "after_us", "all_us", "journal_bytes"},
    ),
    ("passive --orders 8 --profile realistic", {"passive"}),
    ("structures --orders 1 --profile realistic", {"structures"}),
    ("decode --reps 1", {"quotes_per_s", "quotes_per_s_consume", "quotes_per_s_models"}),
]


def figures(printed: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in printed.splitlines()]


@pytest.mark.parametrize(("line", "names"), SMALLEST, ids=[line.split()[0] for line, _ in SMALLEST])
def test_it_prints_every_figure(
    line: str, names: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if line.startswith(("passive", "structures")) and not (RECORDINGS / "20131007-equities.ndjson.gz").is_file():
        pytest.skip("the recorded day is missing")
    assert main(line.format(tmp_path).split()) == 0
    found = figures(capsys.readouterr().out)
    assert {figure["name"] for figure in found} == names
    assert all({"value", "unit"} <= figure.keys() for figure in found)
    assert not any(figure.get("errors") or figure.get("unanswered") for figure in found)
    assert not list(tmp_path.iterdir()), "a state directory was left behind"


@pytest.mark.parametrize("name", [*LATER, "nonsense", ""])
def test_what_is_not_there_says_so(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name]) != 0
    assert "error" in figures(capsys.readouterr().out)[0]
