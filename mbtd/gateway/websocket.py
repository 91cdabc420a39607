"""The server's WebSocket protocol with a way to write frames that were made ready once for many readers.

Invariants: a frame written this way goes between two whole frames of the protocol's own; nothing is written to a
connection that closes. Frames of a server carry no mask and no extension is negotiated, so the same bytes do for all.
"""

from __future__ import annotations

from typing import Any, Final

from starlette.websockets import WebSocket
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

_KEY: Final = "mbtd.wire"


class Wire(WebSocketsSansIOProtocol):
    """One connection."""

    def handle_connect(self, event: Any) -> None:
        """Let the application find this connection."""
        super().handle_connect(event)
        if not self.close_sent:
            self.scope["extensions"] = {_KEY: self}  # type: ignore[dict-item]

    def write(self, frames: bytes) -> None:
        """Send whole frames, now."""
        if self.handshake_complete and not self.close_sent and not self.transport.is_closing():
            self.transport.write(frames)

    @property
    def waiting_bytes(self) -> int:
        """What the peer has not taken yet."""
        return self.transport.get_write_buffer_size()

    async def drain(self) -> None:
        """Until the peer reads again."""
        await self.writable.wait()


def wire_of(socket: WebSocket) -> Wire:
    """The connection beneath an application's socket."""
    wire = socket.scope["extensions"][_KEY]
    assert isinstance(wire, Wire)
    return wire


def framed(payload: bytes, *, text: bool) -> bytes:
    """A message as one frame."""
    first = b"\x81" if text else b"\x82"
    size = len(payload)
    if size < 126:
        return first + bytes((size,)) + payload
    if size < 65_536:
        return b"%b\x7e%b%b" % (first, size.to_bytes(2, "big"), payload)
    return b"%b\x7f%b%b" % (first, size.to_bytes(8, "big"), payload)
