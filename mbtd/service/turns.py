"""Requests that wait for their account's turn.

Invariants: what fails in its turn, or after it, is answered and never reaches the pump, except a lack of memory,
which ends the process (:mod:`mbtd.memory`), and a search that the turn waits for; a request whose deadline
has passed when its turn comes is not started (operations §4).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from actors.book.rules.margin.outside import SearchNeeded
from mbtd.core import Core
from mbtd.logs import get_logger
from mbtd.rpc.errors import Refusal, make_error, params_error, refuse
from mbtd.rpc.session import RequestId, Session

log = get_logger(subsystem="rpc")


def answer_failure(session: Session, request_id: RequestId, error: Exception) -> None:
    """Tell whoever asked what went wrong; what is no refusal is logged. Call it where the error is handled."""
    if isinstance(error, Refusal):
        session.refuse(request_id, error.error)
    elif isinstance(error, msgspec.ValidationError):
        session.refuse(request_id, params_error(error))
    else:
        log.exception("request.failed", conn=session.number)
        session.refuse(request_id, make_error("internal_error", type(error).__name__))


async def answered(session: Session, request_id: RequestId, work: Callable[[], Awaitable[None]]) -> None:
    """Run what answers a request outside a turn; a failure is the request's, never the daemon's."""
    try:
        await work()
    except MemoryError:
        raise
    except Exception as error:
        answer_failure(session, request_id, error)


def queue_turn(
    core: Core,
    session: Session,
    request_id: RequestId,
    account_no: int,
    work: Callable[[], None],
    deadline_ms: int | None = None,
    *,
    privileged: bool = False,
    next_of_all: bool = False,
) -> None:
    """Run ``work`` in the account's turn. Raises the refusal ``mailbox_full``.

    ``next_of_all``: before everything else that waits for that account, and never refused.
    """
    deadline = None if deadline_ms is None else core.monotonic() + deadline_ms * 1_000_000

    def turn() -> None:
        if deadline is not None and core.monotonic() > deadline:
            session.refuse(request_id, make_error("deadline_exceeded"))
            return
        try:
            work()
        except (MemoryError, SearchNeeded):
            raise
        except Exception as error:
            answer_failure(session, request_id, error)

    if next_of_all:
        core.mailroom.put_next(account_no, turn)
    elif not core.mailroom.put(account_no, turn, privileged):
        refuse("mailbox_full")
    core.pump.wake()
