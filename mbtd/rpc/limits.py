"""What a connection and a server may use, with the numbers of :mod:`mbtd.limits` as defaults (operations §4)."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from mbtd import limits


class ConnectionLimits(Struct, frozen=True, kw_only=True):
    """What one connection may use."""

    line_max_bytes: int = limits.LINE_MAX_BYTES
    in_flight_max_requests: int = limits.REQUESTS_IN_FLIGHT_MAX
    turn_max_requests: int = limits.TURN_MAX_REQUESTS
    """Requests handed on in one go; the others of the same read wait for the next turn of the loop."""
    waiting_max_events: int = limits.WAITING_EVENTS_MAX
    waiting_max_event_bytes: int = limits.WAITING_EVENTS_MAX_BYTES
    waiting_max_reply_bytes: int = limits.WAITING_REPLIES_MAX_BYTES
    """More waiting answers than this and no further request is read."""
    response_max_bytes: int = limits.RESPONSE_MAX_BYTES
    subscriptions_max: int = limits.SUBSCRIPTIONS_MAX
    unfinished_line_max_s: float = limits.UNFINISHED_LINE_MAX_S
    close_grace_max_s: float = limits.CLOSE_GRACE_MAX_S
    """How long a closing connection may take to read its last lines."""
    transport_high_water_bytes: int = limits.TRANSPORT_HIGH_WATER_BYTES


CLIENT_LIMITS: Final = ConnectionLimits()
SERVICE_LIMITS: Final = ConnectionLimits(
    in_flight_max_requests=limits.SERVICE_REQUESTS_IN_FLIGHT_MAX,
    turn_max_requests=limits.SERVICE_TURN_MAX_REQUESTS,
    subscriptions_max=limits.SERVICE_SUBSCRIPTIONS_MAX,
    waiting_max_events=limits.SERVICE_WAITING_EVENTS_MAX,
    waiting_max_event_bytes=limits.SERVICE_WAITING_EVENTS_MAX_BYTES,
    waiting_max_reply_bytes=limits.SERVICE_WAITING_REPLIES_MAX_BYTES,
    transport_high_water_bytes=limits.SERVICE_TRANSPORT_HIGH_WATER_BYTES,
)


class ServerLimits(Struct, frozen=True, kw_only=True):
    """What all connections together may use."""

    connections_max: int = limits.CONNECTIONS_MAX
    connections_per_uid_max: int = limits.CONNECTIONS_PER_UID_MAX
    """Not counted for the daemon's own uid and for role ``service``."""
    client: ConnectionLimits = CLIENT_LIMITS
    service: ConnectionLimits = SERVICE_LIMITS
