"""Fuzzing the protocol of a running daemon (operations §4, "Checks worth writing").

Checked: every request with an id gets exactly one answer, or the connection is closed with an error; every error
is in the tables, with its own code; nothing hangs; the daemon stays well and no account is quarantined.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections import Counter
from pathlib import Path
from typing import Any

from actors.book.rules.reasons import REASONS
from mbtd.rpc.errors import KINDS
from tests.crash.processes import DaemonProcess, Wire
from tests.fuzz.grammar import Grammar

CODES = {reason: kind.code for reason, kind in KINDS.items()} | {name: kind.code for name, kind in REASONS.items()}
SILENCE_S = 20.0
CLOSING = ("line_too_long", "unfinished_line_timeout", "slow_consumer", "shutting_down")
CASES_PER_CHECK = 50
"""Conversations between two looks at the daemon's health."""


class Fault(AssertionError):
    """The daemon did something undocumented."""


class Conversation:
    """One connection with everything that was said on it.

    On a plain socket: a transport forgets what was said to it when it cannot write any more.
    """

    def __init__(self, connected: socket.socket, counts: Counter[str]) -> None:
        self._socket, self._counts = connected, counts
        self.answers: Counter[int | str] = Counter()
        self.closed_by = ""
        self.nameless = 0
        """Errors with id null: the line was too broken, or nested too deeply, for its id to be found."""
        self.wanted: set[int] = set()
        self.asked: dict[int, bytes] = {}
        """The requests by their ids, for whoever reads what went wrong."""
        self._ended = asyncio.Event()
        self._arrived = asyncio.Event()
        self._fault: Fault | None = None
        self._task = asyncio.create_task(self._listen())

    async def say(self, pieces: list[bytes]) -> None:
        """Send pieces one by one, as far as the other end takes them."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            for piece in pieces:
                async with asyncio.timeout(SILENCE_S):
                    await loop.sock_sendall(self._socket, piece)
                if len(pieces) > 1:
                    await asyncio.sleep(0)

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        rest = b""
        try:
            with contextlib.suppress(OSError):
                while data := await loop.sock_recv(self._socket, 1 << 18):
                    *lines, rest = (rest + data).split(b"\n")
                    for line in lines:
                        self._took(line)
        except Fault as fault:
            self._fault = fault
        finally:
            self._ended.set()
            self._arrived.set()

    def _took(self, line: bytes) -> None:
        found = json.loads(line)
        if found.get("jsonrpc") != "2.0" or len({"result", "error", "method"} & found.keys()) != 1:
            raise Fault(f"not an answer: {line[:300]!r}")
        if "method" in found:
            self._counts["(event)"] += 1
            return
        if "error" in found:
            self._count_error(found["error"], self.asked.get(found["id"], b""))
            if found["id"] is None:
                self.closed_by = found["error"]["data"]["reason"]
                self.nameless += 1
                self._arrived.set()
        else:
            self._counts["(result)"] += 1
        if found["id"] is not None:
            self.answers[found["id"]] += 1
            if self.answers[found["id"]] > 1 and found["id"] in self.wanted:
                raise Fault(f"two answers to one request: {line[:300]!r}")
            self._arrived.set()

    def _count_error(self, error: dict[str, Any], asked: bytes) -> None:
        reason = error["data"]["reason"]
        if CODES.get(reason) != error["code"]:
            raise Fault(f"not in the tables: {error}")
        if reason == "internal_error":
            raise Fault(f"an internal error: {error}, asked with {asked[:2000]!r}")
        if not error["message"] or not isinstance(error["data"]["retryable"], bool):
            raise Fault(f"incomplete: {error}")
        self._counts[f"{error['code']} {reason}"] += 1

    async def settle(self) -> None:
        """Wait until every wanted answer is here, or the connection was closed with an error. Never silence."""
        deadline = time.monotonic() + SILENCE_S
        while not self._ended.is_set() and not self._answered():
            self._arrived.clear()
            try:
                async with asyncio.timeout(max(0.01, deadline - time.monotonic())):
                    await self._arrived.wait()
            except TimeoutError:
                raise Fault(f"silence: no answer to {sorted(self.wanted - self.answers.keys())[:5]}") from None
        if self._fault is not None:
            raise self._fault
        if not self._answered() and self.closed_by not in CLOSING:
            raise Fault(f"closed without an answer or a reason, last said: {self.closed_by!r}")

    def _answered(self) -> bool:
        return len(self.wanted - self.answers.keys()) <= self.nameless

    async def hang_up(self) -> None:
        """Close, and raise what was found."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._socket.close()
        if self._fault is not None:
            raise self._fault


class ProtocolFuzz:
    """Conversations with one daemon until the time is up."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.counts: Counter[str] = Counter()
        self.conversations = 0
        self.requests = 0
        self._ids = 0

    async def run(self, state: Path, seconds: float, talkers: int = 3) -> Counter[str]:
        """Fuzz a fresh daemon for so long."""
        daemon = DaemonProcess(state, quotes_per_s=200)
        try:
            await daemon.ready()
            wire = await Wire.connect(daemon.socket)
            for number in range(3):
                await wire.call("account.create", name=f"fuzz-{number}", cash="1000000")
            await wire.close()
            until = time.monotonic() + seconds
            async with asyncio.TaskGroup() as tasks:
                for number in range(talkers):
                    tasks.create_task(self._talk(daemon, Grammar(f"{self.seed} {number}"), until))
            await self._check(daemon)
        finally:
            daemon.close()
        return self.counts

    async def _talk(self, daemon: DaemonProcess, grammar: Grammar, until: float) -> None:
        while time.monotonic() < until:
            self.conversations += 1
            await self._converse(daemon.socket, grammar)
            if self.conversations % CASES_PER_CHECK == 0:
                await self._check(daemon)

    async def _converse(self, path: Path, grammar: Grammar) -> None:
        dice = grammar.dice
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connected.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connected, str(path))
        talk = Conversation(connected, self.counts)
        try:
            if dice.random() < 0.35:
                data = grammar.soup()
                await talk.say(grammar.chunks(data))
                if dice.random() < 0.3:
                    return
                # After a line's end the connection is in step again, or it is closed.
                data = b"\n" + self._probe(talk)
                await talk.say([data])
            else:
                lines = []
                for _ in range(dice.choice((1, 5, 20, 80))):
                    self._ids += 1
                    lines.append(grammar.request(self._ids))
                    talk.asked[self._ids] = lines[-1]
                    talk.wanted.add(self._ids)
                    self.requests += 1
                await talk.say(grammar.chunks(b"".join(lines)))
                if dice.random() < 0.1:
                    return
            await talk.settle()
        finally:
            await talk.hang_up()

    def _probe(self, talk: Conversation) -> bytes:
        self._ids += 1
        # Soup may contain ids of its own; the probe's is beyond theirs.
        probe = (1 << 40) + self._ids
        talk.wanted.add(probe)
        return json.dumps({"jsonrpc": "2.0", "id": probe, "method": "clock.get"}).encode() + b"\n"

    async def _check(self, daemon: DaemonProcess) -> None:
        if not daemon.alive:
            raise Fault(f"the daemon ended with {daemon.process.returncode}")
        wire = await Wire.connect(daemon.socket)
        health = (await wire.call("health.get"))["result"]
        await wire.close()
        if health["status"] != "ok" or health["engine"]["quarantined"]:
            raise Fault(f"the daemon is not well: {health}")
