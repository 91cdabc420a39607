"""The settings of mbtd: one frozen Struct for each table of ``config.toml``.

Invariants: ranges stand in the types; unknown keys are refused; nothing here is a secret (those are files
below ``$CREDENTIALS_DIRECTORY``, :mod:`mbtd.systemd`). Defaults come from :mod:`mbtd.limits`; ``config.toml``
repeats each of them with a comment and a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from mbtd import limits
from mbtd.config.layers import Loaded, load_layers

Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Bytes = Annotated[int, Meta(ge=1_024, le=2**40)]
Milliseconds = Annotated[int, Meta(ge=1, le=3_600_000)]
Seconds = Annotated[int, Meta(ge=1, le=31_536_000)]
Microseconds = Annotated[int, Meta(ge=1, le=1_000_000)]
Uid = Annotated[int, Meta(ge=0, le=2**32 - 2)]
RatePpm = Annotated[int, Meta(ge=0, le=1_000_000)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,63}\Z")]
Symbol = Annotated[str, Meta(pattern=r"^[A-Z][A-Z0-9.]{0,20}\Z")]
StreamUrl = Annotated[str, Meta(pattern=r"^(wss?://[^\s@]+)?\Z")]
RestUrl = Annotated[str, Meta(pattern=r"^(https?://[^\s@]+)?\Z")]

BUILT_IN_PROFILES = ("alpaca-parity", "realistic", "conservative")
BASE = "base"


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all tables."""


class ConnectionSettings(Section, frozen=True, kw_only=True):
    """What one connection may use (operations §4)."""

    line_max_bytes: Bytes = limits.LINE_MAX_BYTES
    response_max_bytes: Bytes = limits.RESPONSE_MAX_BYTES
    in_flight_max_requests: Count = limits.REQUESTS_IN_FLIGHT_MAX
    subscriptions_max: Count = limits.SUBSCRIPTIONS_MAX
    waiting_max_events: Count = limits.WAITING_EVENTS_MAX
    waiting_max_event_bytes: Bytes = limits.WAITING_EVENTS_MAX_BYTES
    waiting_max_reply_bytes: Bytes = limits.WAITING_REPLIES_MAX_BYTES
    unfinished_line_max_s: Seconds = limits.UNFINISHED_LINE_MAX_S
    close_grace_max_s: Seconds = limits.CLOSE_GRACE_MAX_S


class ServiceConnectionSettings(ConnectionSettings, frozen=True, kw_only=True):
    """The same for connections of role ``service``, which speak for many people at once."""

    in_flight_max_requests: Count = limits.SERVICE_REQUESTS_IN_FLIGHT_MAX
    subscriptions_max: Count = limits.SERVICE_SUBSCRIPTIONS_MAX
    waiting_max_events: Count = limits.SERVICE_WAITING_EVENTS_MAX
    waiting_max_event_bytes: Bytes = limits.SERVICE_WAITING_EVENTS_MAX_BYTES
    waiting_max_reply_bytes: Bytes = limits.SERVICE_WAITING_REPLIES_MAX_BYTES


class Server(Section, frozen=True, kw_only=True):
    """Sockets, who may do what, and how much."""

    socket: str = ""
    """Path of the clients' socket; empty: ``mbtd.sock`` in the state directory."""
    admin_socket: str = ""
    """Path of the operators' socket; empty: ``admin.sock`` in the state directory."""
    service_uids: tuple[Uid, ...] = ()
    service_groups: tuple[Name, ...] = ()
    operator_uids: tuple[Uid, ...] = ()
    operator_groups: tuple[Name, ...] = ()
    viewer_uids: tuple[Uid, ...] = ()
    viewer_groups: tuple[Name, ...] = ()
    traders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Uid in digits or group name → the accounts it may trade."""
    connections_max: Count = limits.CONNECTIONS_MAX
    connections_per_uid_max: Count = limits.CONNECTIONS_PER_UID_MAX
    debug_prompt: bool = False
    """Whether the console may run Python inside the daemon (root and the daemon's user only)."""
    drain_max_ms: Milliseconds = limits.DRAIN_MAX_MS
    reconnect_after_ms: Milliseconds = limits.RECONNECT_AFTER_MS
    client: ConnectionSettings = field(default_factory=ConnectionSettings)
    service: ServiceConnectionSettings = field(default_factory=ServiceConnectionSettings)


class Engine(Section, frozen=True, kw_only=True):
    """Turns, mailboxes and what a new account starts with."""

    mailbox_max: Count = limits.MAILBOX_MAX_COMMANDS
    mailbox_reserved: Count = limits.MAILBOX_RESERVED_COMMANDS
    turn_budget_ms: Milliseconds = limits.TURN_BUDGET_MS
    command_budget_us: Microseconds = limits.COMMAND_BUDGET_US
    tape_budget_us: Microseconds = limits.TAPE_BUDGET_US
    profile: Name = "realistic"
    margin_profile: Name = "house"
    realtime: bool = True
    """Whether to ask the kernel to run the answering thread before ordinary programs, once ready."""
    fills: Literal["real_time", "entitled"] = "real_time"
    """``entitled`` matches an account in the lane that its tier may see."""
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    """0: drawn from the system's entropy at the first start and kept."""


class Rates(Section, frozen=True, kw_only=True):
    """Interest, borrow and what a locate costs; yearly rates are parts per million."""

    margin_interest_ppm: Annotated[int, Meta(ge=-1, le=1_000_000)] = -1
    """On the settled debit; -1: the dated table that comes with the program."""
    cash_interest_ppm: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    borrow_ppm: Annotated[int, Meta(ge=0, le=10_000_000)] = 100_000
    locate_price_units: Annotated[int, Meta(ge=0, le=1_000_000)] = 100
    """Ten-thousandths of a dollar for each share."""


class Synthetic(Section, frozen=True, kw_only=True):
    """The made-up market."""

    quotes_per_second: Annotated[int, Meta(ge=1, le=200_000)] = 200
    session: Literal["always", "xnys"] = "always"


class Alpaca(Section, frozen=True, kw_only=True):
    """Where Alpaca is, and what is asked of it besides quotes. Its keys are no settings."""

    stocks_url: StreamUrl = ""
    """The whole URL of the stock stream; empty: Alpaca's own."""
    options_url: StreamUrl = ""
    trading_url: RestUrl = ""
    """Base of the REST API with assets, contracts and calendar; empty: Alpaca's paper trading."""
    data_url: RestUrl = ""
    """Base of the REST API with previous closes; empty: Alpaca's own."""
    session: Literal["xnys", "always"] = "xnys"
    option_underlyings: tuple[Symbol, ...] = ()
    """Without any, the option stream is not opened."""
    option_expiry_max_days: Annotated[int, Meta(ge=1, le=1_500)] = 60
    reference_refresh_s: Seconds = 86_400
    reference_timeout_s: Seconds = 120
    reconnect_least_ms: Milliseconds = 500
    reconnect_most_ms: Milliseconds = 30_000


class Pricing(Section, frozen=True, kw_only=True):
    """What Greeks, implied volatilities and theoretical values are computed with; nothing else uses it."""

    rate_ppm: RatePpm = 40_000
    """Annual interest."""
    yields_ppm: Mapping[Symbol, RatePpm] = field(default_factory=dict)
    """Annual dividend yield of indexes and funds."""


class Market(Section, frozen=True, kw_only=True):
    """Where quotes come from."""

    feed: Literal["synthetic", "replay", "alpaca"] = "synthetic"
    speed: Decimal = Decimal(1)
    """Replay: tape seconds for each second."""
    recordings: tuple[str, ...] = ()
    stocks_feed: Literal["iex", "sip", "delayed_sip"] = "iex"
    options_feed: Literal["indicative", "opra"] = "indicative"
    feed_dead_ms: Milliseconds = limits.FEED_DEAD_MS
    interest_max_symbols: Count = limits.INTEREST_MAX_SYMBOLS
    interest_max_contracts: Count = limits.INTEREST_MAX_CONTRACTS
    tape_waiting_max_messages: Count = limits.TAPE_WAITING_MAX_MESSAGES
    delayed_by_s: Annotated[int, Meta(ge=0, le=86_400)] = 900
    """How late the lane is that users without real-time data see."""
    synthetic: Synthetic = field(default_factory=Synthetic)
    alpaca: Alpaca = field(default_factory=Alpaca)
    pricing: Pricing = field(default_factory=Pricing)


class Storage(Section, frozen=True, kw_only=True):
    """What survives, and for how long."""

    directory: Annotated[str, Meta(min_length=1)] = "var"
    group_max_events: Count = limits.GROUP_MAX_EVENTS
    group_max_ms: Milliseconds = limits.GROUP_MAX_MS
    snapshot_chunk_max_rows: Annotated[int, Meta(ge=1, le=500)] = limits.SNAPSHOT_CHUNK_MAX_ROWS
    journal_keep_events: Annotated[int, Meta(ge=0, le=10_000_000)] = limits.JOURNAL_KEEP_EVENTS
    ballast_bytes: Annotated[int, Meta(ge=0, le=limits.GIB)] = limits.BALLAST_BYTES
    tape_day_max_bytes: Bytes = limits.TAPE_DAY_MAX_BYTES
    tape_max_days: Annotated[int, Meta(ge=0, le=3_650)] = limits.TAPE_MAX_DAYS


class Gateway(Section, frozen=True, kw_only=True):
    """Alpaca's HTTP and WebSocket interface, a process of its own."""

    address: Annotated[str, Meta(min_length=1, max_length=256)] = "127.0.0.1:8970"
    """``HOST:PORT``, or ``off``: then nothing is started."""
    hosts: tuple[str, ...] = ()
    """Names under which browsers may reach it, besides its own address and localhost."""
    body_max_bytes: Bytes = limits.GATEWAY_BODY_MAX_BYTES
    header_max_bytes: Bytes = limits.GATEWAY_HEADER_MAX_BYTES
    request_max_s: Seconds = limits.GATEWAY_REQUEST_MAX_S
    connections_max: Count = limits.GATEWAY_CONNECTIONS_MAX


class Switches(Section, frozen=True, kw_only=True):
    """Kill switches (architecture §11). The effective state is the OR of every source."""

    trading_disabled: bool = False
    new_orders_disabled: bool = False
    market_data_disabled: bool = False


class Log(Section, frozen=True, kw_only=True):
    """What is said, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"
    repeat_every_s: Seconds = limits.LOG_REPEAT_EVERY_S


class Config(Section, frozen=True, kw_only=True):
    """All settings."""

    server: Server = field(default_factory=Server)
    engine: Engine = field(default_factory=Engine)
    rates: Rates = field(default_factory=Rates)
    market: Market = field(default_factory=Market)
    storage: Storage = field(default_factory=Storage)
    gateway: Gateway = field(default_factory=Gateway)
    switches: Switches = field(default_factory=Switches)
    log: Log = field(default_factory=Log)
    profiles: Mapping[Name, Mapping[Name, int | str]] = field(default_factory=dict)
    """Custom fill profiles: ``base`` names a built-in one, other keys change its numbers (fill model §14)."""

    @staticmethod
    def load(
        path: Path | None, environ: Mapping[str, str], flags: Mapping[str, object] | None = None
    ) -> Loaded[Config]:
        """Put the layers together: defaults < ``path`` < ``MBTD_SECTION__KEY`` < ``flags`` (dotted keys).

        Without a path there is no file layer. Raises ``ConfigError`` with every problem found.
        """
        return load_layers(Config, path, environ, flags or {}, problems)


def problems(config: Config) -> Iterator[tuple[tuple[str, ...], str]]:
    """What no single type can say: the settings concerned, most to blame first, and what must hold."""
    engine, market = config.engine, config.market
    if engine.mailbox_reserved >= engine.mailbox_max:
        keys = ("engine.mailbox_reserved", "engine.mailbox_max")
        yield keys, "engine.mailbox_reserved must be less than engine.mailbox_max"
    if engine.command_budget_us + engine.tape_budget_us > limits.PUMP_ROUND_MAX_US:
        keys = ("engine.tape_budget_us", "engine.command_budget_us")
        yield keys, f"both budgets together must be at most {limits.PUMP_ROUND_MAX_US} microseconds"
    if not (market.speed.is_finite() and Decimal("0.001") <= market.speed <= 1_000_000):
        yield ("market.speed",), "must be a number from 0.001 to 1000000"
    if market.feed == "replay" and not market.recordings:
        yield ("market.recordings", "market.feed"), "a replay needs at least one file in market.recordings"
    if market.alpaca.reconnect_least_ms > market.alpaca.reconnect_most_ms:
        keys = ("market.alpaca.reconnect_least_ms", "market.alpaca.reconnect_most_ms")
        yield keys, "market.alpaca.reconnect_least_ms must be at most market.alpaca.reconnect_most_ms"
    for name, numbers in config.profiles.items():
        if name in BUILT_IN_PROFILES:
            yield (f"profiles.{name}",), "is the name of a built-in profile; choose another"
        if numbers.get(BASE) not in BUILT_IN_PROFILES:
            yield (f"profiles.{name}.{BASE}",), f"must be one of {', '.join(BUILT_IN_PROFILES)}"
    known = (*BUILT_IN_PROFILES, *config.profiles)
    if engine.profile not in known:
        yield ("engine.profile",), f"must be one of {', '.join(known)}"
