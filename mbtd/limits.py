"""Every bound of the process in one place, its unit in its name (operations §2: nothing grows without bound).

What an operator may change has its default here and its setting in :mod:`mbtd.config`; the rest is fixed.
``_MAX`` is the largest that is still allowed.
"""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

# Connections (operations §4).
LINE_MAX_BYTES: Final = 64 * KIB
RESPONSE_MAX_BYTES: Final = MIB
REQUESTS_IN_FLIGHT_MAX: Final = 64
SERVICE_REQUESTS_IN_FLIGHT_MAX: Final = 1_024
SUBSCRIPTIONS_MAX: Final = 32
SERVICE_SUBSCRIPTIONS_MAX: Final = 4_096
WAITING_EVENTS_MAX: Final = 1_024
SERVICE_WAITING_EVENTS_MAX: Final = 65_536
WAITING_EVENTS_MAX_BYTES: Final = MIB
SERVICE_WAITING_EVENTS_MAX_BYTES: Final = 16 * MIB
WAITING_REPLIES_MAX_BYTES: Final = MIB
SERVICE_WAITING_REPLIES_MAX_BYTES: Final = 4 * MIB
UNFINISHED_LINE_MAX_S: Final = 5
CLOSE_GRACE_MAX_S: Final = 5
CONNECTIONS_MAX: Final = 256
CONNECTIONS_PER_UID_MAX: Final = 16
REQUEST_ID_MAX_CHARACTERS: Final = 64
METHOD_MAX_CHARACTERS: Final = 64
DEADLINE_MAX_MS: Final = 3_600_000
SOCKET_PATH_MAX_BYTES: Final = 107
TURN_MAX_REQUESTS: Final = 64
SERVICE_TURN_MAX_REQUESTS: Final = 8
"""Requests of one connection that are handed on in one go: as long does a burst of the gateway hold up the others."""
TRANSPORT_HIGH_WATER_BYTES: Final = 256 * KIB
SERVICE_TRANSPORT_HIGH_WATER_BYTES: Final = MIB
STOP_GRACE_MAX_S: Final = 1.0
"""How long a stopping server waits for clients to read their last lines."""

# Engine (architecture §3).
MAILBOX_MAX_COMMANDS: Final = 256
MAILBOX_RESERVED_COMMANDS: Final = 32
TURN_BUDGET_MS: Final = 2
CROWD: Final = 500
"""With more accounts than this waiting for a snapshot, and no commands, chunks follow each other quickly."""
CROWDED_INTERVAL_S: Final = 0.005
TAPE_BUDGET_US: Final = 500
COMMAND_BUDGET_US: Final = 500
PUMP_ROUND_MAX_US: Final = 1_000

# Market (architecture §6).
INTEREST_MAX_SYMBOLS: Final = 10_000
INTEREST_MAX_CONTRACTS: Final = 20_000
FEED_DEAD_MS: Final = 3_000
TAPE_WAITING_MAX_MESSAGES: Final = 65_536

# Gateway (architecture §11).
GATEWAY_BODY_MAX_BYTES: Final = 64 * KIB
GATEWAY_HEADER_MAX_BYTES: Final = 32 * KIB
GATEWAY_REQUEST_MAX_S: Final = 10
GATEWAY_CONNECTIONS_MAX: Final = 4_096

# Storage (architecture §5, limits §5).
GROUP_MAX_EVENTS: Final = 2_048
GROUP_MAX_MS: Final = 4
JOURNAL_KEEP_EVENTS: Final = 20_000
SNAPSHOT_CHUNK_MAX_ROWS: Final = 100
BALLAST_BYTES: Final = 8 * MIB
TAPE_DAY_MAX_BYTES: Final = 2 * GIB
TAPE_MAX_DAYS: Final = 7

# Memory (operations §2): of what the service's control group allows.
MEMORY_LOW_PERCENT: Final = 85
MEMORY_OK_PERCENT: Final = 75

# What is said before it hurts: age of the last good backup and restore drill, and free space (the smaller of both).
BACKUP_MAX_AGE_S: Final = 26 * 3_600
DRILL_MAX_AGE_S: Final = 8 * 86_400
DISK_FILLING_BYTES: Final = 2 * GIB
DISK_FILLING_PERCENT: Final = 10

# Stopping (operations §6).
DRAIN_MAX_MS: Final = 1_000
RECONNECT_AFTER_MS: Final = 1_000

# Logs (operations §9).
LOG_REPEAT_EVERY_S: Final = 30
LOG_REPEAT_MAX_KEYS: Final = 1_024
LOG_TEXT_MAX_CHARACTERS: Final = 2_048
LOG_TRACEBACK_MAX_CHARACTERS: Final = 16_384
LOG_KEYS_MAX: Final = 64

# Configuration and credentials.
CONFIG_FILE_MAX_BYTES: Final = MIB
CREDENTIAL_MAX_BYTES: Final = 64 * KIB
STOP_WRITER_MAX_S: Final = 20.0
TAIL_MAX_S: Final = 10.0
"""How long a stop waits for a disk that is full; what is not committed then was never confirmed."""
