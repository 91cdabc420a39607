"""Every error of Alpaca's market-data streams: what it means, and what is done about it.

Source: alpaca-api §5.3. An error here is a value, not an exception: the protocol machine hands it out and the
feed acts on :attr:`AlpacaStreamError.action`. A code that is not in the table gets the action of the phase in
which it came (before the subscription: connect again; after it: refuse the request it answers).
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

Action = Literal["stop", "retry", "retry_later", "refuse_request", "fewer_symbols", "fewer_channels", "ignore"]
"""``stop``: connecting again cannot help; a person must act.
``retry``: connect again with the ordinary backoff.
``retry_later``: connect again, but wait long: the cause ends by itself, slowly.
``refuse_request``: the connection stays; what was asked for is not delivered.
``fewer_symbols``, ``fewer_channels``: the connection stays; ask again for less.
``ignore``: nothing is lost.
"""


class AlpacaStreamError(Struct, frozen=True):
    """One refusal or failure of a stream."""

    code: int
    """Alpaca's code; 0 for trouble that has none (see :data:`LOCAL`)."""
    name: str
    """Stable, for metrics and states."""
    meaning: str
    """One sentence for a person."""
    advice: str
    """What a person can do; empty when nothing needs doing."""
    action: Action
    server_text: str = ""
    """What the server said, scrubbed of keys."""

    @property
    def retryable(self) -> bool:
        """Whether the feed goes on by itself."""
        return self.action != "stop"

    def __str__(self) -> str:
        number = f"{self.code} " if self.code else ""
        return f"{number}{self.name}: {self.meaning}" + (f" {self.advice}" if self.advice else "")


def _entry(code: int, name: str, meaning: str, action: Action, advice: str = "") -> tuple[int, AlpacaStreamError]:
    return code, AlpacaStreamError(code, name, meaning, advice, action)


_SUBSCRIPTION_ADVICE = "Subscribe to the feed at Alpaca, or configure one that the plan includes."

DOCUMENTED: Final[dict[int, AlpacaStreamError]] = dict(
    (
        _entry(400, "invalid_syntax", "The server could not read a request.", "refuse_request"),
        _entry(401, "not_authenticated", "The connection is not authenticated.", "retry"),
        _entry(
            402,
            "auth_failed",
            "The server does not know this key pair.",
            "stop",
            "Check the Alpaca key id and secret key, then restart the feed.",
        ),
        _entry(403, "already_authenticated", "The connection was authenticated before.", "ignore"),
        _entry(404, "auth_timeout", "The server waited too long for the authentication.", "retry"),
        _entry(
            405,
            "symbol_limit",
            "The plan allows fewer symbols at a time.",
            "fewer_symbols",
            "Unsubscribe symbols, or use a plan with more.",
        ),
        _entry(
            406,
            "connection_limit",
            "Another connection of the same key is open.",
            "retry_later",
            "Close the other program that streams with this key.",
        ),
        _entry(407, "slow_client", "This host read too slowly and messages were lost.", "retry"),
        _entry(
            408,
            "v2_not_enabled",
            "The account is not enabled for this version of the stream.",
            "stop",
            "Ask Alpaca to enable market data for the account.",
        ),
        _entry(
            409,
            "insufficient_subscription",
            "The plan does not include this feed.",
            "stop",
            _SUBSCRIPTION_ADVICE,
        ),
        _entry(
            410,
            "invalid_action_for_feed",
            "The feed does not offer a channel that was asked for.",
            "fewer_channels",
        ),
        _entry(
            412,
            "msgpack_only",
            "Option messages come in MessagePack only.",
            "stop",
            "Check the stream's URL.",
        ),
        _entry(
            413,
            "star_not_allowed",
            "All option quotes cannot be subscribed at once.",
            "refuse_request",
            "Subscribe contracts by name.",
        ),
        _entry(500, "internal_error", "The server has trouble of its own.", "retry"),
    )
)

LOCAL: Final[dict[str, AlpacaStreamError]] = {
    error.name: error
    for error in (
        AlpacaStreamError(
            0,
            "not_msgpack",
            "The server answers in text, not in MessagePack.",
            "Check the stream's URL.",
            "retry_later",
        ),
        AlpacaStreamError(0, "not_confirmed", "The server did not confirm these symbols.", "", "refuse_request"),
        AlpacaStreamError(0, "unexpected_greeting", "The server did not greet as documented.", "", "retry"),
    )
}


def stream_error(code: int, server_text: str, *, subscribed: bool) -> AlpacaStreamError:
    """The error for a code; ``subscribed`` decides the action for a code that nobody documented."""
    known = DOCUMENTED.get(code)
    if known is None:
        return AlpacaStreamError(
            code,
            "unknown_error",
            "The server reported an error that is not documented.",
            "",
            "refuse_request" if subscribed else "retry",
            server_text,
        )
    return AlpacaStreamError(known.code, known.name, known.meaning, known.advice, known.action, server_text)
