"""Limits of connections, with units in their names (operations §4)."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

REQUEST_ID_MAX_CHARACTERS: Final = 64
METHOD_MAX_CHARACTERS: Final = 64
DEADLINE_MAX_MS: Final = 3_600_000
SOCKET_PATH_MAX_BYTES: Final = 107


class ConnectionLimits(Struct, frozen=True, kw_only=True):
    """What one connection may use."""

    line_max_bytes: int = 64 * 1024
    in_flight_max_requests: int = 64
    turn_max_requests: int = 64
    """Requests handed on in one go; the others of the same read wait for the next turn of the loop."""
    waiting_max_events: int = 1_024
    waiting_max_event_bytes: int = 1024 * 1024
    waiting_max_reply_bytes: int = 1024 * 1024
    """More waiting answers than this and no further request is read."""
    response_max_bytes: int = 1024 * 1024
    subscriptions_max: int = 32
    unfinished_line_max_s: float = 5.0
    close_grace_max_s: float = 5.0
    """How long a closing connection may take to read its last lines."""
    transport_high_water_bytes: int = 256 * 1024


CLIENT_LIMITS: Final = ConnectionLimits()
SERVICE_LIMITS: Final = ConnectionLimits(
    in_flight_max_requests=1_024,
    turn_max_requests=256,
    subscriptions_max=4_096,
    waiting_max_events=65_536,
    waiting_max_event_bytes=16 * 1024 * 1024,
    waiting_max_reply_bytes=4 * 1024 * 1024,
    transport_high_water_bytes=1024 * 1024,
)


STOP_GRACE_MAX_S: Final = 1.0
"""How long a stopping server waits for clients to read their last lines."""


class ServerLimits(Struct, frozen=True, kw_only=True):
    """What all connections together may use."""

    connections_max: int = 256
    connections_per_uid_max: int = 16
    """Not counted for the daemon's own uid and for role ``service``."""
    client: ConnectionLimits = CLIENT_LIMITS
    service: ConnectionLimits = SERVICE_LIMITS
