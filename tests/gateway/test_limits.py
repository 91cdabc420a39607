"""Request rates: the algorithm against a plain one, and over HTTP."""

from __future__ import annotations

import signal
from collections import deque
from pathlib import Path

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from mbtd.service.limits import FREE_FAILURES, MINUTE_NS, PER_MINUTE, Failures, Rates
from tests.gateway.running import Served, serving
from tests.service.running import until


class Bucket:
    """The plain reading: a bucket that leaks one request an interval, counted in thousandths of a nanosecond."""

    def __init__(self, per_minute: int) -> None:
        self.size = per_minute
        self.interval = MINUTE_NS // per_minute
        self.taken: deque[int] = deque()
        """When each request that is in the bucket will have leaked out."""

    def take(self, now: int) -> bool:
        while self.taken and self.taken[0] <= now:
            self.taken.popleft()
        # Full: the last one leaves a whole bucket later than now would allow.
        last = self.taken[-1] if self.taken else now
        if max(last, now) + self.interval - now > self.size * self.interval:
            return False
        self.taken.append(max(last, now) + self.interval)
        return True


@given(
    per_minute=st.sampled_from([60, 600, 3_000]),
    gaps=st.lists(st.integers(0, 3_000_000_000), max_size=300),
)
def test_the_rate_is_that_of_a_leaking_bucket(per_minute: int, gaps: list[int]) -> None:
    rates, bucket, now = Rates(), Bucket(per_minute), 10**18
    for gap in gaps:
        now += gap
        taken = rates.take(1, per_minute, now)
        assert taken.allowed == bucket.take(now)
        assert 0 <= taken.remaining <= per_minute
        if not taken.allowed:
            assert not rates.take(1, per_minute, now + taken.retry_after_ns - 1).allowed
            assert Rates.take(_copy(rates), 1, per_minute, now + taken.retry_after_ns).allowed


def _copy(rates: Rates) -> Rates:
    other = Rates()
    other._full_at = dict(rates._full_at)
    return other


@pytest.mark.parametrize("tier", ["free", "pro", "pro_plus"])
def test_a_burst_gets_exactly_its_minute(tier: str) -> None:
    rates, limit, now = Rates(), PER_MINUTE[tier], 10**18
    assert sum(rates.take(1, limit, now).allowed for _ in range(2 * limit)) == limit
    # From then on one an interval, so in any minute after the burst exactly the limit.
    steps = range(MINUTE_NS // 100, MINUTE_NS + 1, MINUTE_NS // 100)
    later = sum(rates.take(1, limit, now + at).allowed for at in steps for _ in range(limit // 50 + 1))
    assert later == limit


def test_a_refused_request_takes_nothing_and_accounts_do_not_share() -> None:
    rates, now = Rates(), 10**18
    for _ in range(60):
        assert rates.take(1, 60, now).allowed
    for _ in range(1_000):
        assert not rates.take(1, 60, now).allowed
    assert rates.take(1, 60, now + 1_000_000_000).allowed
    assert rates.take(2, 60, now).allowed


def test_another_tier_keeps_what_was_taken_at_its_own_pace() -> None:
    rates, now = Rates(), 10**18
    for _ in range(60):
        rates.take(1, 60, now)
    assert rates.take(1, 600, now).remaining == 539
    for _ in range(539):
        assert rates.take(1, 600, now).allowed
    assert not rates.take(1, 600, now).allowed
    assert not rates.take(1, 60, now).allowed


def test_memory_is_bounded() -> None:
    rates, now = Rates(), 10**18
    for number in range(50_000):
        rates.take(number, 3_000, now + number * 1_000_000)
    assert len(rates) < 5_000


def test_failures_are_slowed_down_more_and_more_and_forgiven() -> None:
    failures, now = Failures(), 10**18
    waits = [failures.failed("1.2.3.4", now) for _ in range(20)]
    assert waits[:FREE_FAILURES] == [0] * FREE_FAILURES
    assert waits == sorted(waits)
    assert 0 < waits[FREE_FAILURES] < waits[-1] <= 4_000
    assert failures.failed("5.6.7.8", now) == 0
    assert failures.failed("1.2.3.4", now + 6 * MINUTE_NS) == 0


def test_a_free_account_has_sixty_a_minute_with_alpacas_headers(served: Served) -> None:
    user = served.open("sixty", tier="free")
    answers = [user.ask("GET", "/v2/clock") for _ in range(61)]
    good = [answer for answer in answers if answer.status_code == 200]
    assert 60 <= len(good) <= 62
    assert good[0].headers["x-ratelimit-limit"] == "60"
    assert int(good[0].headers["x-ratelimit-remaining"]) == 59
    refused = next(iter(answer for answer in [*answers, user.ask("GET", "/v2/clock")] if answer.status_code != 200))
    assert refused.status_code == 429
    assert refused.json() == {"code": 42910000, "message": "rate limit exceeded"}
    assert refused.headers["x-ratelimit-remaining"] == "0"
    assert int(refused.headers["retry-after"]) >= 1
    assert served.open("another", tier="free").ask("GET", "/v2/clock").status_code == 200


def test_a_limit_changes_with_the_tier(served: Served) -> None:
    user = served.open("growing", tier="free", user_id="growing-user")
    while user.ask("GET", "/v2/clock").status_code == 200:
        pass
    served.call("user.set_tier", user_id="growing-user", tier="pro")
    answer = user.ask("GET", "/v2/clock")
    assert (answer.status_code, answer.headers["x-ratelimit-limit"]) == (200, "600")


def test_a_restart_of_the_gateway_gives_nobody_a_new_minute(tmp_path: Path) -> None:
    with serving(tmp_path / "state") as served:
        user = served.open("patient", tier="free")
        while user.ask("GET", "/v2/clock").status_code == 200:
            pass
        before = gateway_pid(served)
        signal_gateway(served)
        until(lambda: gateway_pid(served) not in (0, before), "another gateway")
        served.wait_for_gateway()
        answers = [requests.get(served.url + "/v2/clock", headers=user.http.headers, timeout=10) for _ in range(20)]
        assert sum(answer.status_code == 200 for answer in answers) < 10


def gateway_pid(served: Served) -> int:
    """The child's process id."""
    children = Path(f"/proc/{served.process.pid}/task/{served.process.pid}/children").read_text().split()
    for pid in children:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"gateway" in words:
            return int(pid)
    return 0


def signal_gateway(served: Served, number: int = signal.SIGKILL) -> None:
    """End the child."""
    import os

    os.kill(gateway_pid(served), number)
