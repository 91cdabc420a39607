"""The writer process's blocking end of the socket pair."""

from __future__ import annotations

import contextlib
import select
import socket

from storage.frames import Answer, FrameReader, Request, decode_request, encode

FAREWELL_S = 5.0
"""How long an ending writer waits for the daemon to have read its last answer."""
_READ_BYTES = 1 << 20


class Link:
    """Requests in, answers out. ``FrameError`` leaves :meth:`receive` when the stream is damaged."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._reader = FrameReader()
        self.ended = False
        """The daemon is gone."""
        self.quiet = False
        """The last wait brought nothing."""
        sock.setblocking(True)

    def receive(self, wait_s: float | None) -> list[Request]:
        """What has come in; waits at most so long for something (None: until it comes)."""
        self.quiet = bool(wait_s) and not select.select([self._sock], [], [], wait_s)[0]
        if self.quiet:
            return []
        try:
            data = self._sock.recv(_READ_BYTES, 0 if wait_s is None else socket.MSG_DONTWAIT)
        except BlockingIOError:
            return []
        except ConnectionResetError:
            data = b""
        if not data:
            self.ended = True
            return []
        return [decode_request(frame) for frame in self._reader.feed(data)]

    def send(self, answer: Answer) -> None:
        # When nobody listens, what is still to be read is committed all the same; reading tells when it is
        # over.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._sock.sendall(encode(answer))

    def finish(self) -> None:
        """Say that nothing more comes and wait, not for long, until the daemon has read it.

        Were the socket closed at once, a request on its way would reset it and the last answer be lost.
        """
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
            self._sock.settimeout(FAREWELL_S)
            while self._sock.recv(_READ_BYTES):
                pass
