"""``python -m tests.gateway.schema_cases --cases 10000``: schemathesis against a running gateway.

Starts a daemon with its gateway, makes that many requests from the OpenAPI document, in equal parts for every
operation, and checks of every answer that it is no server error and that the document knows its status, type and
shape. Prints one JSON object; exit status 1 when an answer failed. 503 and 504 are answers that the document knows;
they are counted and told, and fail the run too, because nothing is restarted here.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from schemathesis import checks
from schemathesis.core.failures import Failure, FailureGroup

from mbtd.gateway.app import ENDPOINTS
from mbtd.gateway.openapi import document
from tests.gateway.running import Served, User, serving

USERS = 12
"""Each has 3,000 requests a minute."""
ENDS_ITSELF = {("DELETE", "/api/sessions"), ("DELETE", "/api/keys/{key_id}"), ("POST", "/api/keys/{key_id}/rotate")}
"""Done by a user of their own, whose key may end."""
ENDLESS = {"/v2beta1/events/activities"}
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]


class Run:
    """Counts what came of the cases."""

    def __init__(self, served: Served) -> None:
        self.statuses: Counter[int] = Counter()
        self.failures: Counter[str] = Counter()
        self._users = itertools.cycle([served.open(f"case {number}") for number in range(USERS)])
        self._mortal = served.open("mortal")
        self._session = requests.Session()

    def case(self, case: Any) -> None:
        """One request."""
        user: User = self._mortal if (case.method, case.path) in ENDS_ITSELF else next(self._users)
        case.headers = {"APCA-API-KEY-ID": user.key, "APCA-API-SECRET-KEY": user.secret}
        response = case.call(base_url=user.served.url, session=self._session)
        self.statuses[response.status_code] += 1
        try:
            case.validate_response(response, checks=CHECKS)
        except (Failure, FailureGroup, AssertionError) as failure:
            self.failures[f"{case.method} {case.path}: {str(failure)[:300]}"] += 1


def play(served: Served, cases: int, number: int) -> Run:
    """Make the cases."""
    run = Run(served)
    schema = schemathesis.openapi.from_dict(document(ENDPOINTS))
    operations = [found.ok() for found in schema.get_all_operations()]
    operations = [operation for operation in operations if operation.path not in ENDLESS]
    for place, operation in enumerate(operations):
        share = cases * (place + 1) // len(operations) - cases * place // len(operations)

        @seed(number + place)
        @settings(
            max_examples=max(1, share),
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            verbosity=Verbosity.quiet,
        )
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            run.case(case)

        # An operation with few different requests is asked again and again until its part is done.
        wanted = sum(run.statuses.values()) + share
        while sum(run.statuses.values()) < wanted:
            ask()
    return run


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    begun = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as directory,
        serving(Path(directory) / "state", MBTD_MARKET__SYNTHETIC__QUOTES_PER_SECOND="100") as served,
    ):
        run = play(served, arguments.cases, arguments.seed)
    errors = sum(count for status, count in run.statuses.items() if status >= 500)
    found = {
        "name": "schema_cases",
        "value": sum(run.statuses.values()),
        "unit": "cases",
        "server_errors": errors,
        "statuses": {str(status): count for status, count in sorted(run.statuses.items())},
        "failures": dict(run.failures.most_common(20)),
        "seconds": round(time.monotonic() - begun, 1),
    }
    print(json.dumps(found, indent=1))
    return 1 if run.failures or errors else 0


if __name__ == "__main__":
    sys.exit(main())
