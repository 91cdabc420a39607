"""The Python prompt inside the loop: off by default, one line at a time, guarded (operations §9).

Invariants: only where ``server.debug_prompt`` is on, for root or the daemon's own user, on the operators' socket, one
connection at a time; a line runs between two slices of the pump, so every account is at rest, and it may not await.
Whatever it does is done outside the journal: it is for looking. Every line is logged with the uid.
"""

from __future__ import annotations

import code
import contextlib
import io
import os
import time
from typing import Any

from mbtd.logs import get_logger
from mbtd.rpc.errors import refuse
from mbtd.rpc.session import Session

log = get_logger(subsystem="prompt")
OUTPUT_MAX_CHARACTERS = 64 * 1024
HOLD_S = 600.0
"""A connection that said nothing for so long no longer keeps others out."""


class Prompt:
    """The one prompt of a daemon."""

    def __init__(self, enabled: bool, names: dict[str, Any]) -> None:
        self._enabled = enabled
        self._names = names
        self._holder: Session | None = None
        self._held_at = 0.0
        self._interpreter = code.InteractiveInterpreter(dict(names))

    def run(self, session: Session, line: str) -> dict[str, Any]:
        """Run a line; what it printed. Raises a refusal."""
        if not self._enabled:
            refuse("not_permitted", "The Python prompt is off; set server.debug_prompt and restart")
        if session.peer.uid not in (0, os.geteuid()):
            refuse("not_permitted", "The Python prompt is for root and the daemon's own user")
        self._hold(session)
        log.warning("prompt.line", uid=session.peer.uid, pid=session.peer.pid, line=line[:500])
        out = io.StringIO()
        started = time.monotonic()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            try:
                more = self._interpreter.runsource(line, "<console>")
            except SystemExit:
                more = False
                out.write("The prompt does not end the daemon; `shutdown` does\n")
        if more:
            out.write("The statement is not complete; it must stand on one line\n")
        text = out.getvalue()[:OUTPUT_MAX_CHARACTERS]
        return {"output": text, "more": more, "took_ms": round((time.monotonic() - started) * 1e3, 3)}

    def _hold(self, session: Session) -> None:
        now = time.monotonic()
        free = self._holder is None or self._holder.close_reason is not None or now - self._held_at > HOLD_S
        if self._holder is not session and not free:
            refuse("overloaded", "Somebody else has the Python prompt")
        if self._holder is not session:
            self._interpreter = code.InteractiveInterpreter(dict(self._names))
        self._holder, self._held_at = session, now
