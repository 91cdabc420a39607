"""Listening: sockets, who may connect, and how many.

Invariants: a path is unlinked only when it is a socket that nobody serves; the socket never exists with a
wider mode than asked for; whoever has no role hears ``not_permitted`` and is closed before a byte is read;
roles come from the kernel's word on the peer (``SO_PEERCRED``), never from what it says.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import socket
import stat
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from mbtd.limits import SOCKET_PATH_MAX_BYTES, STOP_GRACE_MAX_S
from mbtd.rpc.connection import Connection
from mbtd.rpc.errors import RpcError, make_error
from mbtd.rpc.limits import ServerLimits
from mbtd.rpc.session import Application, Peer, Role, encode_json
from mbtd.rpc.shells import ProtocolShell

ALL_ROLES: Final[frozenset[Role]] = frozenset({"operator", "service", "trader", "viewer"})
_STRONGEST_FIRST: Final[tuple[Role, ...]] = ("operator", "service", "trader", "viewer")
_CREDENTIALS: Final = struct.Struct("3i")
_SO_PEERGROUPS: Final = 59
_GROUPS_USUAL_BYTES: Final = 1024
"""As much as Python's own ``getsockopt`` can take: 256 groups."""
_GROUPS_MAX_BYTES: Final = 4 * 65_536
"""As many groups as a process can be in."""
_LISTEN_BACKLOG: Final = 512
_NOBODY: Final[Mapping[int, Role]] = MappingProxyType({})
_NOTHING: Final[Mapping[int, tuple[str, ...]]] = MappingProxyType({})


class ListenError(Exception):
    """The socket cannot be served; the text says what to do."""


class Access(Struct, frozen=True, kw_only=True):
    """Who is what, by uid and by gid. The daemon's own uid is always operator; all others nothing."""

    users: Mapping[int, Role] = _NOBODY
    groups: Mapping[int, Role] = _NOBODY
    user_accounts: Mapping[int, tuple[str, ...]] = _NOTHING
    """What traders may trade, by uid."""
    group_accounts: Mapping[int, tuple[str, ...]] = _NOTHING

    def accounts_of(self, uid: int, gids: Iterable[int]) -> tuple[str, ...]:
        """Names or ids of the accounts that the user or one of its groups may trade."""
        found = dict.fromkeys(self.user_accounts.get(uid, ()))
        for gid in gids:
            found |= dict.fromkeys(self.group_accounts.get(gid, ()))
        return tuple(found)

    def role_of(self, uid: int, gids: Iterable[int]) -> Role | None:
        """The strongest role that the user or one of its groups has."""
        if uid == os.geteuid():
            return "operator"
        found = {self.groups[gid] for gid in gids if gid in self.groups}
        if uid in self.users:
            found.add(self.users[uid])
        return next((role for role in _STRONGEST_FIRST if role in found), None)


def peer_credentials(peer: socket.socket) -> tuple[int, int, int, tuple[int, ...]]:
    """(uid, gid, pid, all gids) of the process that connected a Unix socket."""
    pid, uid, gid = _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    raw = _peer_groups(peer)
    return uid, gid, pid, (gid, *struct.unpack(f"{len(raw) // 4}I", raw))


def _peer_groups(peer: socket.socket) -> bytes:
    try:
        return peer.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_USUAL_BYTES)
    except OSError as error:
        if error.errno != errno.ERANGE:
            return b""
    room = ctypes.create_string_buffer(_GROUPS_MAX_BYTES)
    length = ctypes.c_uint32(_GROUPS_MAX_BYTES)
    asked = ctypes.CDLL(None).getsockopt(peer.fileno(), socket.SOL_SOCKET, _SO_PEERGROUPS, room, ctypes.byref(length))
    return room.raw[: length.value] if asked == 0 else b""


def bind_unix(path: Path, *, group: int | None = None) -> socket.socket:
    """Bind and listen at ``path``, for the daemon's own user and, if given, the members of ``group`` (a gid).

    It is bound for the user alone and opened to the group before it listens, so that it is never wider open
    than asked for. Raises :class:`ListenError` when something else is at that place, or cannot be made there.
    """
    if len(os.fsencode(path)) > SOCKET_PATH_MAX_BYTES:
        raise ListenError(
            f"the socket path is longer than {SOCKET_PATH_MAX_BYTES} bytes: {path}; choose a shorter --state"
        )
    _remove_dead_socket(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
        if group is not None:
            os.chown(path, -1, group)
            path.chmod(0o660)
        listener.listen(_LISTEN_BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise ListenError(f"cannot listen at {path}: {error.strerror}") from error
    finally:
        os.umask(before)
    return listener


def _remove_dead_socket(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise ListenError(f"cannot look at {path}: {error.strerror}") from error
    if not stat.S_ISSOCK(mode):
        raise ListenError(f"{path} exists and is not a socket; move it away or choose another --state")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EAGAIN:
                raise ListenError(f"cannot tell whether {path} is served: {error.strerror}") from error
    raise ListenError(f"another daemon is serving {path}; stop it first")


def _refusal_line(error: RpcError) -> bytes:
    return b'{"jsonrpc":"2.0","id":null,"error":%b}\n' % encode_json(error)


class Server:
    """Accepts connections on Unix sockets for one application. Use on a running asyncio loop."""

    def __init__(
        self,
        application: Application,
        access: Access | None = None,
        *,
        limits: ServerLimits | None = None,
        allowed: frozenset[Role] = ALL_ROLES,
        numbers: Iterator[int] | None = None,
    ) -> None:
        """``numbers``: of connections; servers of one process share it, so that a number means one connection."""
        self._application = application
        self._access = access or Access()
        self._limits = limits or ServerLimits()
        self._allowed = allowed
        self._per_uid: Counter[int] = Counter()
        self._servers: list[asyncio.Server] = []
        self._bound: list[tuple[Path, int, int]] = []
        self._numbers = count(1) if numbers is None else numbers
        self._emptied: asyncio.Event | None = None
        self.connections: set[Connection] = set()
        self.refused = 0
        """Connections refused since the start, for metrics."""
        self.slow_consumers = 0
        """Connections cut off since the start because they did not read."""

    def configure(self, access: Access, limits: ServerLimits) -> None:
        """Use these for connections from now on; those that are open keep what they have."""
        self._access, self._limits = access, limits

    async def listen(self, path: Path, *, group: int | None = None) -> None:
        """Bind ``path`` (see :func:`bind_unix`) and serve it; it is removed again at :meth:`close`."""
        await self.serve(self._bind(path, group))

    def _bind(self, path: Path, group: int | None) -> socket.socket:
        listener = bind_unix(path, group=group)
        status = path.lstat()
        self._bound.append((path, status.st_dev, status.st_ino))
        return listener

    async def serve(self, listener: socket.socket) -> None:
        """Serve a listening socket that was made elsewhere (passed by systemd); it is not unlinked."""
        loop = asyncio.get_running_loop()
        server = await loop.create_unix_server(
            lambda: ProtocolShell(loop, self._open, self._closed), sock=listener, backlog=_LISTEN_BACKLOG
        )
        self._servers.append(server)

    def stop_listening(self) -> None:
        """Take no more connections; those that are open stay."""
        for server in self._servers:
            server.close()
        for path, device, inode in self._bound:
            try:
                status = path.lstat()
                if (status.st_dev, status.st_ino) == (device, inode):
                    path.unlink()
            except FileNotFoundError:
                pass
        self._servers.clear()
        self._bound.clear()

    async def close(self, reason: RpcError | str = "server closed", *, grace_s: float = STOP_GRACE_MAX_S) -> None:
        """Stop listening, close every connection with ``reason``, and wait until they are gone.

        Who has not read the last lines after ``grace_s`` is cut off.
        """
        self.stop_listening()
        for connection in list(self.connections):
            connection.close(reason)
        self._emptied = asyncio.Event()
        if not self.connections:
            return
        try:
            async with asyncio.timeout(grace_s):
                await self._emptied.wait()
        except TimeoutError:
            for connection in list(self.connections):
                connection.abort()
            await self._emptied.wait()

    def _open(self, transport: asyncio.Transport) -> Connection | bytes:
        raw = transport.get_extra_info("socket")
        try:
            with socket.socket(fileno=os.dup(raw.fileno())) as peer_socket:
                uid, gid, pid, gids = peer_credentials(peer_socket)
        except OSError:
            return _refusal_line(make_error("not_permitted", "The kernel does not say who is asking"))
        role = self._access.role_of(uid, gids)
        refusal = self._refusal(uid, role)
        if refusal is not None or role is None:
            self.refused += 1
            return _refusal_line(refusal or make_error("not_permitted"))
        self._per_uid[uid] += 1
        connection = Connection(
            self._application,
            Peer(uid, gid, pid, role, self._access.accounts_of(uid, gids) if role == "trader" else ()),
            asyncio.get_running_loop().time,
            self._limits.service if role == "service" else self._limits.client,
            next(self._numbers),
        )
        self.connections.add(connection)
        return connection

    def _refusal(self, uid: int, role: Role | None) -> RpcError | None:
        if role is None or role not in self._allowed:
            return make_error("not_permitted")
        if len(self.connections) >= self._limits.connections_max:
            return make_error("too_many_connections")
        unlimited = role == "service" or uid == os.geteuid()
        if not unlimited and self._per_uid[uid] >= self._limits.connections_per_uid_max:
            return make_error("too_many_connections")
        return None

    def _closed(self, connection: Connection) -> None:
        self.connections.discard(connection)
        self.slow_consumers += connection.close_reason == "slow_consumer"
        uid = connection.peer.uid
        self._per_uid[uid] -= 1
        if not self._per_uid[uid]:
            del self._per_uid[uid]
        if self._emptied is not None and not self.connections:
            self._emptied.set()
