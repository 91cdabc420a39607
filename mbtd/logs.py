"""Log lines: one JSON object each, with a ``<N>`` priority for the journal (operations §9).

Events are named ``noun.verbed``, keys are stable and carry units. Invariants: a log call never raises and
never writes a secret; a failure that repeats is written once in ``repeat_every_s`` with the count of what
was left out; texts are shortened. Known limits: lines are written by the caller, so a reader that stops
reading blocks it (the journal does not); only secrets that were learnt or stand under a telling key are
covered.
"""

from __future__ import annotations

import logging
import os
import sys
from collections import OrderedDict
from collections.abc import Mapping, MutableMapping
from typing import Any, BinaryIO, Final

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from actors.book.units import format_time
from mbtd import limits
from mbtd.clock import SECOND_NS, Clock, SystemClock
from mbtd.secret import MASK, Mask, Secret, is_telling

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
PRIORITIES: Final = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
_encoder = msgspec.json.Encoder(enc_hook=repr, decimal_format="string")


class Logger(structlog.BoundLoggerBase):
    """Says events at a level; below the level in force a call costs a comparison."""

    threshold = LEVELS["info"]
    """In force for all loggers at once; ``set_level`` changes it while running."""

    def debug(self, event: str, **keys: object) -> None:
        if LEVELS["debug"] >= Logger.threshold:
            self._say("debug", event, keys)

    def info(self, event: str, **keys: object) -> None:
        if LEVELS["info"] >= Logger.threshold:
            self._say("info", event, keys)

    def warning(self, event: str, **keys: object) -> None:
        if LEVELS["warning"] >= Logger.threshold:
            self._say("warning", event, keys)

    def error(self, event: str, **keys: object) -> None:
        self._say("error", event, keys)

    def exception(self, event: str, **keys: object) -> None:
        """An error with the traceback of the exception being handled."""
        self._say("error", event, {"exc_info": True, **keys})

    def critical(self, event: str, **keys: object) -> None:
        """For what ends the process; never held back."""
        self._say("critical", event, keys)

    def _say(self, level: str, event: str, keys: dict[str, object]) -> None:
        try:
            self._proxy_to_logger(level, event, **keys)
        except Exception as error:  # a value that cannot be shown must not end what was being done
            _unlimited._proxy_to_logger("error", "log.failed", of=event, error=type(error).__name__)


_SAME: Final = ("event", "reason", "error", "account_no")
"""What makes two failures the same; what happens to two accounts is never one."""


class Repeats:
    """Lets a failure through once in a while and counts the rest. Holds a bounded number of failures."""

    def __init__(self, clock: Clock, every_s: int, max_keys: int = limits.LOG_REPEAT_MAX_KEYS) -> None:
        self._clock = clock
        self._every_ns = every_s * SECOND_NS
        self._max_keys = max_keys
        self._said: OrderedDict[tuple[object, ...], tuple[int, int]] = OrderedDict()

    def __call__(self, _logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        if method not in ("warning", "error"):
            return event
        parts = (event.get(part, "") for part in _SAME)
        key = (method, *(part if isinstance(part, int) else str(part) for part in parts))
        now = self._clock.monotonic_ns()
        since, left_out = self._said.get(key, (None, 0))
        if since is not None and now - since < self._every_ns:
            self._said[key] = (since, left_out + 1)
            raise structlog.DropEvent
        self._said[key] = (now, 0)
        self._said.move_to_end(key)
        if len(self._said) > self._max_keys:
            self._said.popitem(last=False)
        if left_out:
            event["repeated_count"] = left_out
        return event

    def take_overdue(self, *, all_of_them: bool = False) -> list[tuple[str, dict[str, object]]]:
        """Level and keys of failures that were left out and did not come again in time; forgets them."""
        now = self._clock.monotonic_ns()
        overdue = [key for key, (since, _) in self._said.items() if all_of_them or now - since >= self._every_ns]
        found: list[tuple[str, dict[str, object]]] = []
        for key in overdue:
            _, left_out = self._said.pop(key)
            if left_out:
                method, *parts = key
                named = dict(zip(_SAME, parts, strict=True))
                found.append(
                    (str(method), {k: v for k, v in named.items() if v != ""} | {"repeated_count": left_out})
                )
        return found


class _Writer:
    """The last step: writes bytes that are ready, and counts what could not be written."""

    def __init__(self, stream: BinaryIO | None = None) -> None:
        self.stream = stream
        self.lost_lines = 0

    def msg(self, line: bytes) -> None:
        stream = sys.stdout.buffer if self.stream is None else self.stream
        try:
            stream.write(line + b"\n")
            stream.flush()
        except (OSError, ValueError):
            self.lost_lines += 1

    debug = info = warning = error = critical = msg


class Render:
    """Turns an event into one line: shortened, covered, JSON or for a terminal, with a priority if wanted."""

    def __init__(self, mask: Mask, *, console: bool = False, priorities: bool = False, colors: bool = False) -> None:
        self._mask = mask
        self._priorities = priorities
        self._console = (
            structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)
            if console
            else None
        )

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> bytes:
        cleaned = _clean(event)
        if self._console is not None:
            line = self._console(logger, method, cleaned).encode("utf-8", "backslashreplace")
        else:
            line = _encode(cleaned)
        line = self._mask.cover(line)
        return b"<%d>%s" % (PRIORITIES[method], line) if self._priorities else line


def _clean(event: MutableMapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """A copy with telling keys covered, texts shortened and no more than a bounded number of keys."""
    cleaned: dict[str, Any] = {}
    for key, value in list(event.items())[: limits.LOG_KEYS_MAX]:
        if is_telling(str(key)) or isinstance(value, Secret):
            cleaned[str(key)] = MASK
        elif isinstance(value, str):
            longest = limits.LOG_TRACEBACK_MAX_CHARACTERS if key == "exception" else limits.LOG_TEXT_MAX_CHARACTERS
            cleaned[str(key)] = (
                value if len(value) <= longest else f"{value[: longest // 2]} … {value[-longest // 2 :]}"
            )
        elif isinstance(value, dict) and depth < 4:
            cleaned[str(key)] = _clean(value, depth + 1)
        elif value is None or isinstance(value, bool | int | float):
            cleaned[str(key)] = value
        else:
            cleaned[str(key)] = _shown(value)
    return cleaned


def _shown(value: object) -> object:
    """Anything else: as JSON if that is short and possible, else as a shortened ``repr``."""
    try:
        if not isinstance(value, bytes) and len(encoded := _encoder.encode(value)) <= limits.LOG_TEXT_MAX_CHARACTERS:
            return msgspec.Raw(encoded)
        return repr(value)[: limits.LOG_TEXT_MAX_CHARACTERS]
    except Exception as error:
        return f"<unprintable {type(value).__name__}: {type(error).__name__}>"


def _encode(event: Mapping[str, Any]) -> bytes:
    try:
        return _encoder.encode(event)
    except (UnicodeEncodeError, OverflowError, RecursionError):
        return _encoder.encode({ascii(key): ascii(value) for key, value in event.items()})


class _FromLibraries(logging.Handler):
    """Brings what libraries say through the standard module into the same lines."""

    def emit(self, record: logging.LogRecord) -> None:
        level = next((name for name, number in reversed(LEVELS.items()) if record.levelno >= number), "debug")
        keys: dict[str, object] = {"library": record.name, "text": record.getMessage(), "reason": record.name}
        if record.exc_info:
            keys["exc_info"] = record.exc_info
        getattr(get_logger(), level)("library.spoke", **keys)


_writer = _Writer()
_processors: list[Processor] = [Render(Mask())]
"""What every logger of the process shares, so that one made before ``set_up`` follows it."""


class Logs:
    """The logging in force: its level, what it counts, what it must cover."""

    def __init__(self, repeats: Repeats, mask: Mask) -> None:
        self._repeats = repeats
        self.mask = mask

    @property
    def lost_lines(self) -> int:
        """Lines that could not be written since the last ``set_up``."""
        return _writer.lost_lines

    def set_level(self, level: str) -> None:
        """Change what is said from now on. Raises ``KeyError`` for an unknown level."""
        Logger.threshold = LEVELS[level]

    def say_overdue(self, *, all_of_them: bool = False) -> None:
        """Write the counts of failures that stopped; call it now and then, and for all of them at the end."""
        for level, keys in self._repeats.take_overdue(all_of_them=all_of_them):
            getattr(_unlimited, level)(**keys)


def set_up(
    level: str = "info",
    format: str = "json",  # noqa: A002 -- the setting's own name
    *,
    stream: BinaryIO | None = None,
    clock: Clock | None = None,
    repeat_every_s: int = limits.LOG_REPEAT_EVERY_S,
    environ: Mapping[str, str] | None = None,
) -> Logs:
    """Direct all logging of the process to ``stream`` (standard output), in ``format`` json or console."""
    out = sys.stdout.buffer if stream is None else stream
    time = clock or SystemClock()
    mask, repeats = Mask(), Repeats(time, repeat_every_s)

    def stamp(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        head = {"at": format_time(time.wall_ns()), "level": method}
        return head | dict(event) | head

    said: list[Processor] = [
        stamp,
        structlog.processors.format_exc_info,
        Render(
            mask,
            console=format == "console",
            priorities=format == "json" and is_journal(out, os.environ if environ is None else environ),
            colors=_is_terminal(out),
        ),
    ]
    _writer.stream, _writer.lost_lines = out, 0
    _processors[:] = [structlog.contextvars.merge_contextvars, repeats, *said]
    _unlimited_processors[:] = said
    root = logging.getLogger()
    root.handlers = [_FromLibraries()]
    root.setLevel(logging.WARNING)
    logs = Logs(repeats, mask)
    logs.set_level(level)
    return logs


def get_logger(**keys: object) -> Logger:
    """A logger that adds ``keys`` to whatever it says; it may be made before ``set_up``."""
    return Logger(_writer, _processors, keys)


_unlimited_processors: list[Processor] = [Render(Mask())]
_unlimited = Logger(_writer, _unlimited_processors, {})
"""Says the counts of repeated failures, which must not be held back themselves."""


def is_journal(stream: BinaryIO, environ: Mapping[str, str]) -> bool:
    """True when ``stream`` is the connection to the journal that ``JOURNAL_STREAM`` names."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _is_terminal(stream: BinaryIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:
        return False
