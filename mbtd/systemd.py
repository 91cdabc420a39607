"""What systemd hands to the process and hears from it: sockets, notifications, watchdog, credentials.

Invariants: variables that speak to this process alone are taken out of the environment, so no child
inherits them; sockets meant for another process are left alone; a notification that cannot be delivered
never raises and never waits. Without systemd everything here answers "nothing". Known limit: no ``vsock:``
notify address.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import MutableMapping
from pathlib import Path

from mbtd.clock import Clock
from mbtd.limits import CREDENTIAL_MAX_BYTES
from mbtd.secret import Secret

FIRST_FD = 3
UNNAMED = "unknown"
"""systemd's own word for a socket without a name."""


class HandedOverWrongly(RuntimeError):
    """The process was started with sockets or credentials that cannot be used; the exit status is 78."""

    exit_status = 78


class Notifier:
    """Tells systemd how the process fares. ``heard`` is False when nobody asked to be told."""

    def __init__(self, address: str | None = None, watchdog_us: int | None = None) -> None:
        self.watchdog_us = watchdog_us
        """systemd kills the process when it hears no ``watchdog`` for so long; None: it does not."""
        self._address = f"\0{address[1:]}" if address and address.startswith("@") else address
        self._socket: socket.socket | None = None
        if self._address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)

    @classmethod
    def from_environ(cls, environ: MutableMapping[str, str]) -> Notifier:
        """Take ``NOTIFY_SOCKET`` and the watchdog's variables out of the environment."""
        address = environ.pop("NOTIFY_SOCKET", None)
        interval = environ.pop("WATCHDOG_USEC", "")
        meant_for = environ.pop("WATCHDOG_PID", str(os.getpid()))
        ours = interval.isdecimal() and int(interval) > 0 and meant_for == str(os.getpid())
        return cls(address, int(interval) if ours else None)

    @property
    def heard(self) -> bool:
        return self._socket is not None

    def ready(self, status: str = "") -> bool:
        """The sockets answer: the start, or a reload, is complete."""
        return self._send("READY=1", *([f"STATUS={_one_line(status)}"] if status else []))

    def status(self, text: str) -> bool:
        """One line for a person."""
        return self._send(f"STATUS={_one_line(text)}")

    def watchdog(self) -> bool:
        """All is well. Call it from the loop, never from a thread."""
        return self._send("WATCHDOG=1")

    def reloading(self, clock: Clock) -> bool:
        """A reload begins; ``ready`` ends it."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={clock.monotonic_ns() // 1000}")

    def stopping(self, status: str = "") -> bool:
        """The stop has begun."""
        return self._send("STOPPING=1", *([f"STATUS={_one_line(status)}"] if status else []))

    def close(self) -> None:
        """Let go of the socket; later calls do nothing."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *lines: str) -> bool:
        if self._socket is None or self._address is None:
            return False
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError:
            return False
        return True


def inherited_sockets(environ: MutableMapping[str, str]) -> dict[str, list[socket.socket]]:
    """The listening sockets that systemd opened for this process, by name; empty without socket activation.

    They are made close-on-exec and non-blocking, and the variables are cleared: call it once, early.
    Raises ``HandedOverWrongly`` when a descriptor is not a socket.
    """
    meant_for = environ.pop("LISTEN_PID", "")
    count = environ.pop("LISTEN_FDS", "")
    names = environ.pop("LISTEN_FDNAMES", "").split(":")
    if meant_for != str(os.getpid()) or not count.isdecimal():
        return {}
    found: dict[str, list[socket.socket]] = {}
    for index in range(int(count)):
        descriptor = FIRST_FD + index
        try:
            os.set_inheritable(descriptor, False)
            if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                raise HandedOverWrongly(f"descriptor {descriptor} from LISTEN_FDS is not a socket")
        except OSError as error:
            raise HandedOverWrongly(f"descriptor {descriptor} from LISTEN_FDS: {error.strerror}") from error
        listener = socket.socket(fileno=descriptor)
        listener.setblocking(False)
        name = names[index] if index < len(names) and names[index] else UNNAMED
        found.setdefault(name, []).append(listener)
    return found


def credential(name: str, environ: MutableMapping[str, str]) -> Secret | None:
    """The secret in the file ``name`` in ``$CREDENTIALS_DIRECTORY``, without its last newline, or None.

    Raises ``HandedOverWrongly`` when the file is there but cannot be used.
    """
    directory = environ.get("CREDENTIALS_DIRECTORY")
    if not directory:
        return None
    if "/" in name or name in ("", ".", ".."):
        raise ValueError("a credential's name is a plain file name")
    path = Path(directory) / name
    try:
        with path.open("rb") as file:
            content = file.read(CREDENTIAL_MAX_BYTES + 1)
        if len(content) > CREDENTIAL_MAX_BYTES:
            raise HandedOverWrongly(f"credential {name} is larger than {CREDENTIAL_MAX_BYTES} bytes")
        text = content.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HandedOverWrongly(f"credential {name} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise HandedOverWrongly(f"credential {name} is not UTF-8 text") from None
    if not text:
        raise HandedOverWrongly(f"credential {name} is empty")
    return Secret(text)


def _one_line(text: str) -> str:
    return " ".join(text.split())
