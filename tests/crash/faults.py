"""Kills, clocks, clients and feeds: the faults of the campaign that leave the disk alone.

Each function works on a directory of its own until ``count`` trials are done, and everything that it chooses comes
from its seed; the moments at which a fault strikes depend on the machine.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from mbtd.failpoints import VARIABLE
from tests.crash.template import CLOCK_BYTES, Template
from tests.crash.trial import Outcome, Trial

MANY = 100_000
FAIL_POINTS = (
    ("commit.before", 80),
    ("commit.after", 80),
    ("release.before", 80),
    ("project.middle", 20),
    ("snapshot.middle", 2),
    ("trim.middle", 2),
)
TRIMMED_EVENTS = 200
BROKEN_CLIENTS = 100
SECOND_NS = 1_000_000_000
HOUR_NS = 3_600 * SECOND_NS
CLOCK_STEPS_NS = (-HOUR_NS, 24 * HOUR_NS, -30 * SECOND_NS, HOUR_NS, -24 * HOUR_NS, 5 * SECOND_NS, 72 * HOUR_NS)


def kills(directory: Path, count: int, seed: int, template: Template) -> Outcome:
    """SIGKILL at a random moment under load: the daemon, its writer, both, or at a named place."""
    outcome, random = Outcome("sigkill"), Random(seed)
    keep = {} if seed % 2 else {"keep_events": TRIMMED_EVENTS}
    trial = Trial(directory / "state", outcome, seed, template, **keep)
    trial.start()
    trial.open_accounts()
    for number in range(count):
        outcome.trials += 1
        threads = trial.begin_trading(MANY)
        if number % 5 == 4:
            # It died at its named place, or dies now.
            _await_end(trial, random.uniform(0.2, 0.6))
            trial.kill()
        else:
            time.sleep(random.uniform(0.01, 0.3))
            way = random.random()
            trial.kill(daemon=way < 0.85, writer=way > 0.5)
        for thread in threads:
            thread.join()
        trial.note_exit()
        trial.settle()
        if number % 5 == 3 and number + 1 < count:
            # The next life has a place to die at.
            trial.kill()
            point, most = random.choice(FAIL_POINTS)
            trial.start(**{VARIABLE: f"{point}:{random.randint(1, most)}"})
    trial.finish()
    return outcome


def _await_end(trial: Trial, seconds: float) -> None:
    assert trial.process is not None
    deadline = time.monotonic() + seconds
    while trial.process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)


def stepping_clock(directory: Path, count: int, seed: int, template: Template) -> Outcome:
    """The wall clock jumps under load, with a death after every other jump."""
    outcome, random = Outcome("clock steps"), Random(seed)
    clock = directory / "clock"
    clock.write_bytes(bytes(CLOCK_BYTES))
    trial = Trial(directory / "state", outcome, seed, template, clock=clock)
    trial.start()
    trial.open_accounts()
    offset = 0
    for number in range(count):
        outcome.trials += 1
        trial.trade(random.randrange(1, 15))
        offset += random.choice(CLOCK_STEPS_NS)
        with clock.open("r+b") as file:
            file.write(offset.to_bytes(CLOCK_BYTES, "little", signed=True))
        trial.trade(random.randrange(5, 25))
        if number % 2:
            trial.leave()
            trial.settle()
    trial.leave()
    trial.settle()
    trial.finish()
    return outcome


def broken_clients(directory: Path, count: int, seed: int, template: Template) -> Outcome:
    """A hundred clients that never read, never finish a line, send rubbish or vanish; three good ones between."""
    outcome, random = Outcome("broken clients"), Random(seed)
    trial = Trial(directory / "state", outcome, seed, template)
    trial.start()
    trial.open_accounts()
    place = b'{"jsonrpc":"2.0","id":1,"method":"order.list","params":{"account":"ann","status":"all","limit":500}}\n'
    follow = (
        b'{"jsonrpc":"2.0","id":2,"method":"stream.subscribe","params":{"topics":["account:ann","quotes:AAPL"]}}\n'
    )

    def vanish(peer: socket.socket) -> None:
        peer.sendall(place)
        peer.close()

    kinds: tuple[Callable[[socket.socket], object], ...] = (
        vanish,
        lambda s: s.sendall(place * 50),
        lambda s: s.sendall(follow + place),
        lambda s: s.sendall(b'{"jsonrpc":"2.0","id":1,"meth'),
        lambda s: s.sendall(random.randbytes(4_000) + b"\n"),
        lambda s: s.sendall(b"[" * 60_000 + b"\n"),
        lambda s: s.sendall(b"x" * 1_000_000),
    )
    for _ in range(count):
        outcome.trials += 1
        held = []
        for _ in range(BROKEN_CLIENTS):
            peer = socket.socket(socket.AF_UNIX)
            peer.settimeout(0.05)
            with contextlib.suppress(OSError):
                peer.connect(str(trial.state / "mbtd.sock"))
                random.choice(kinds)(peer)
            held.append(peer)
        before = sum(len(each.acknowledged) for each in trial.shoppers)
        started = time.monotonic()
        threads = trial.begin_trading(40, started + 20.0)
        _drip(held, threads)
        took = time.monotonic() - started
        done = sum(len(each.acknowledged) for each in trial.shoppers) - before
        outcome.note(f"{done} orders in {took:.2f} s beside {BROKEN_CLIENTS} broken clients")
        if not done:
            outcome.verify_failed += 1
            outcome.note("the good clients got nothing done")
        trial.leave()
        for peer in held:
            peer.close()
        trial.settle()
    trial.finish()
    return outcome


def _drip(peers: list[socket.socket], threads: list) -> None:  # type: ignore[type-arg]
    """Send a byte now and then, for as long as the good ones are at work."""
    while any(thread.is_alive() for thread in threads):
        for peer in peers[::7]:
            with contextlib.suppress(OSError):
                peer.send(b"x")
        time.sleep(0.05)


def lost_feed(directory: Path, count: int, seed: int, template: Template) -> Outcome:
    """The feed is switched off and on again, over and over, with deaths between."""
    outcome, random = Outcome("feed lost"), Random(seed)
    trial = Trial(directory / "state", outcome, seed, template)
    trial.start()
    trial.open_accounts()
    for _ in range(count):
        outcome.trials += 1
        threads = trial.begin_trading(random.randrange(20, 80))
        with trial.client() as client:
            for on in (True, False, True, random.random() < 0.5):
                client.call("admin.switch", name="market_data_disabled", on=on, why="campaign")
                time.sleep(random.uniform(0.0, 0.06))
        for thread in threads:
            thread.join()
        trial.leave()
        trial.settle()
        with trial.client() as client:
            client.call("admin.switch", name="market_data_disabled", on=False, why="campaign")
    trial.finish()
    return outcome
