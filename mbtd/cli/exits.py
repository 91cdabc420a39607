"""Exit statuses of the ``mbtd`` command, and which one an exception means (contracts §1)."""

from __future__ import annotations

from typing import Final

from mbtd.rpc.wire import ConnectionLost, NoDaemon, ProtocolFault, RpcRefusal

DONE: Final = 0
REFUSED: Final = 1
USAGE: Final = 2
DATA: Final = 65
NO_DAEMON: Final = 69
INTERNAL: Final = 70
STORAGE: Final = 74
TRY_AGAIN: Final = 75
NOT_PERMITTED: Final = 77
INTERRUPTED: Final = 130


def status_of(error: Exception) -> int | None:
    """The exit status for what a client can raise; None for anything else."""
    if isinstance(error, RpcRefusal):
        return _status_of_refusal(error)
    if isinstance(error, NoDaemon):
        return NO_DAEMON
    if isinstance(error, PermissionError):
        return NOT_PERMITTED
    if isinstance(error, (ConnectionLost, TimeoutError)):
        return TRY_AGAIN
    if isinstance(error, ProtocolFault):
        return INTERNAL
    return None


def _status_of_refusal(refusal: RpcRefusal) -> int:
    by_reason = {
        "not_permitted": NOT_PERMITTED,
        "internal_error": INTERNAL,
        "storage_fault": STORAGE,
    }
    if refusal.reason in by_reason:
        return by_reason[refusal.reason]
    return TRY_AGAIN if refusal.retryable else REFUSED
