"""``python -m tests.bench NAME [options]``: one JSON object for each figure."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from typing import Final

from tests.bench.running import BenchError

NAMES: Final = (
    "orders",
    "quotes",
    "idle",
    "recovery",
    "decode",
    "margin",
    "passive",
    "structures",
    "neighbours",
    "gateway",
    "inprocess",
)
LATER: Final = ("backup",)


def main(arguments: list[str]) -> int:
    """Run one bench."""
    name = arguments[0] if arguments and not arguments[0].startswith("-") else ""
    if name in LATER:
        print(json.dumps({"error": f"what {name!r} measures is not there yet", "name": name}))
        return 1
    if name not in NAMES:
        known = ", ".join((*NAMES, *LATER))
        print(json.dumps({"error": f"there is no bench {name!r}; known: {known}", "name": name}))
        return 2
    module = importlib.import_module(f"tests.bench.{name}")
    parser = argparse.ArgumentParser(prog=f"python -m tests.bench {name}", description=module.__doc__)
    module.add_arguments(parser)
    failed = 0
    try:
        for figure in module.run(parser.parse_args(arguments[1:])):
            print(json.dumps(figure), flush=True)
            failed = 1 if "error" in figure and "value" not in figure else failed
    except BenchError as error:
        print(json.dumps({"error": str(error), "name": name}))
        return 1
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
