"""Simulated days: ``python -m tests.simulation --seeds N --span day|week [--first SEED] [--replay SEED:KEPT]``.

One JSON line in the end; a failing seed is shrunk and printed as ``SEED:DAY.FIRST-LAST,…``, which ``--replay`` runs again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import msgspec

from tests.simulation.days import OPS_A_DAY, Tally, drawn_days, run
from tests.simulation.shrink import Places, shrink

DAYS = {"day": 1, "week": 7}


def _replay(text: str, days: int) -> int:
    seed_text, _, kept_text = text.partition(":")
    seed = int(seed_text)
    drawn = drawn_days(seed, days)
    kept = {
        (int(day), place)
        for day, _, span in (part.partition(".") for part in kept_text.split(",") if part)
        for place in range(int(span.partition("-")[0]), int(span.rpartition("-")[2]) + 1)
    }
    everything = {(number, place) for number, day in enumerate(drawn) for place in range(len(day.ops))}
    run(seed, drawn, frozenset(everything - kept) if kept else frozenset())
    print(json.dumps({"seed": seed, "ok": True}))
    return 0


def spans(places: Places) -> str:
    """Days and places as text, runs as ``DAY.FIRST-LAST``."""
    runs: list[list[int]] = []
    for day, place in places:
        if runs and runs[-1][0] == day and runs[-1][2] == place - 1:
            runs[-1][2] = place
        else:
            runs.append([day, place, place])
    return ",".join(f"{day}.{first}" + (f"-{last}" if last > first else "") for day, first, last in runs)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--span", choices=sorted(DAYS), default="day")
    parser.add_argument("--replay", metavar="SEED:KEPT")
    args = parser.parse_args()
    days = DAYS[args.span]
    if args.replay:
        return _replay(args.replay, days)
    total, failed = Tally(), []
    started = time.monotonic()
    for seed in range(args.first, args.first + args.seeds):
        drawn = drawn_days(seed, days)
        try:
            tally = run(seed, drawn).tally
        except Exception as error:
            print(f"seed {seed} failed: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            why, kept = shrink(seed, drawn)
            token = f"{seed}:" + spans(kept)
            print(
                f"  shrunk to {len(kept)} operations: --span {args.span} --replay {token}",
                file=sys.stderr,
                flush=True,
            )
            failed.append({"seed": seed, "why": why, "replay": token})
            continue
        total.add(tally)
    seconds = time.monotonic() - started
    print(
        json.dumps(
            {
                "seeds": args.seeds, "span": args.span, "ops_a_day": OPS_A_DAY, "failed": failed,
                "seconds": round(seconds, 1), "seconds_per_day": round(seconds / max(1, args.seeds * days), 4),
                **msgspec.to_builtins(total),
            }
        )
    )  # fmt: skip
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
