"""The protocol shell and the listener on real Unix sockets, on asyncio and on uvloop."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mbtd.rpc import server as server_module
from mbtd.rpc.errors import make_error
from mbtd.rpc.limits import ConnectionLimits, ServerLimits
from mbtd.rpc.server import Access, ListenError, Server, bind_unix, peer_credentials
from mbtd.rpc.session import RequestId, Session
from tests.rpc.fakes import EchoApplication, reason_of, request_line

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param}


class BigApplication(EchoApplication):
    """``big`` is answered with 200 kB."""

    def request(
        self,
        session: Session,
        request_id: RequestId,
        method: str,
        params: msgspec.Raw,
        deadline_ms: int | None,
    ) -> None:
        if method == "big":
            session.reply(request_id, b'"%b"' % (b"x" * 200_000))
        else:
            super().request(session, request_id, method, params, deadline_ms)


@asynccontextmanager
async def serving(path: Path, application: EchoApplication, **options: Any) -> AsyncIterator[Server]:
    server = Server(application, **options)
    await server.listen(path)
    try:
        yield server
    finally:
        await server.close()


async def connect(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_unix_connection(str(path), limit=2**21)


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: bytes) -> dict[str, Any]:
    writer.write(line)
    answer: dict[str, Any] = json.loads(await reader.readline())
    return answer


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 — what is waited for has no event
            await asyncio.sleep(0.002)


async def test_the_peer_is_who_the_kernel_says(tmp_path: Path) -> None:
    application = EchoApplication()
    async with serving(tmp_path / "s", application):
        reader, writer = await connect(tmp_path / "s")
        await ask(reader, writer, request_line(1, "echo"))
        peer = application.sessions[0].peer
        assert (peer.uid, peer.gid, peer.pid, peer.role) == (
            os.getuid(),
            os.getgid(),
            os.getpid(),
            "operator",
        )
        writer.close()
        await until(lambda: application.lost)


async def test_the_socket_is_for_its_user_only_and_goes_with_the_server(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with serving(path, EchoApplication()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()
    bind_unix(path, group=os.getgid()).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


async def test_a_client_that_sends_its_end_is_still_answered(tmp_path: Path) -> None:
    application = EchoApplication()
    async with serving(tmp_path / "s", application) as server:
        reader, writer = await connect(tmp_path / "s")
        writer.write(request_line(1, "later") + request_line(2, "later") + request_line(3, "later")[:-3])
        writer.write_eof()
        await until(lambda: len(application.waiting) == 2)
        assert server.connections
        application.answer_all()
        answers = (await reader.read()).splitlines()
        assert [json.loads(line)["id"] for line in answers] == [1, 2]
        writer.close()
        await until(lambda: not server.connections)
    assert [asked[0] for asked in application.asked] == [1, 2]


async def test_a_living_socket_a_file_and_a_long_path_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with serving(path, EchoApplication()):
        with pytest.raises(ListenError, match="another daemon"):
            bind_unix(path)
        reader, writer = await connect(path)
        assert (await ask(reader, writer, request_line(1, "echo")))["id"] == 1
        writer.close()
    path.write_text("precious")
    with pytest.raises(ListenError, match="not a socket"):
        bind_unix(path)
    assert path.read_text() == "precious"
    with pytest.raises(ListenError, match="longer than"):
        bind_unix(tmp_path / ("x" * 120))
    with pytest.raises(ListenError, match="cannot listen"):
        bind_unix(tmp_path / "missing" / "s")


async def test_a_dead_socket_is_replaced_and_a_passed_one_is_served(tmp_path: Path) -> None:
    path = tmp_path / "s"
    bind_unix(path).close()
    listener = bind_unix(path)
    server = Server(EchoApplication())
    await server.serve(listener)
    reader, writer = await connect(path)
    assert (await ask(reader, writer, request_line(1, "echo")))["id"] == 1
    await server.close(make_error("shutting_down"))
    assert reason_of(json.loads(await reader.readline())) == "shutting_down"
    assert await reader.read() == b""
    assert path.exists()
    writer.close()


async def test_who_has_no_role_is_told_so_and_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    application = EchoApplication()
    async with serving(tmp_path / "s", application) as server:
        monkeypatch.setattr(server_module.os, "geteuid", lambda: 999_999)
        reader, writer = await connect(tmp_path / "s")
        writer.write(request_line(1, "echo"))
        assert reason_of(json.loads(await reader.readline())) == "not_permitted"
        assert not application.asked
        assert server.refused == 1
        writer.close()


async def test_connections_are_counted_for_each_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module.os, "geteuid", lambda: 999_999)
    limits = ServerLimits(connections_per_uid_max=2)
    access = Access(groups={os.getgid(): "trader"})
    async with serving(tmp_path / "s", EchoApplication(), limits=limits, access=access) as server:
        held = [await connect(tmp_path / "s") for _ in range(2)]
        for reader, writer in held:
            await ask(reader, writer, request_line(1, "echo"))
        reader, writer = await connect(tmp_path / "s")
        assert reason_of(json.loads(await reader.readline())) == "too_many_connections"
        writer.close()
        held.pop()[1].close()
        await until(lambda: len(server.connections) == 1)
        reader, writer = await connect(tmp_path / "s")
        assert (await ask(reader, writer, request_line(1, "echo")))["id"] == 1
        for _, each in [*held, (reader, writer)]:
            each.close()


def test_roles_come_from_uid_and_groups_and_the_strongest_counts() -> None:
    access = Access(users={5: "viewer"}, groups={50: "trader", 60: "service"})
    stranger = os.geteuid() + 1
    assert access.role_of(os.geteuid(), ()) == "operator"
    assert access.role_of(5, ()) == "viewer"
    assert access.role_of(5, (50,)) == "trader"
    assert access.role_of(stranger, (1, 60, 50)) == "service"
    assert access.role_of(stranger, (1,)) is None


def test_supplementary_groups_of_the_peer_are_seen() -> None:
    left, right = socket.socketpair(socket.AF_UNIX)
    with left, right:
        uid, gid, pid, gids = peer_credentials(left)
    assert (uid, gid, pid) == (os.getuid(), os.getgid(), os.getpid())
    assert set(os.getgroups()) <= set(gids)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may put a process into groups")
@pytest.mark.parametrize("count", [1, 255, 256, 257, 5_000])
def test_a_peer_in_many_groups_is_in_each_of_them(tmp_path: Path, count: int) -> None:
    wanted = list(range(70_000, 70_000 + count))
    connect = "import socket,sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.recv(1)"
    with bind_unix(tmp_path / "s") as listener:
        listener.setblocking(True)
        words = [sys.executable, "-c", connect, str(tmp_path / "s")]
        with subprocess.Popen(words, extra_groups=wanted) as child:
            peer, _ = listener.accept()
            with peer:
                _, gid, pid, gids = peer_credentials(peer)
    assert pid == child.pid
    assert set(gids) == {gid, *wanted}


async def test_stopping_does_not_wait_long_for_who_never_reads(tmp_path: Path) -> None:
    application = BigApplication()
    server = Server(application)
    await server.listen(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as stuck:
        stuck.connect(str(tmp_path / "s"))
        stuck.sendall(b"".join(request_line(n, "big") for n in range(40)))
        await until(lambda: application.sessions and application.sessions[0].waiting_bytes)
        async with asyncio.timeout(2):
            await server.close(make_error("shutting_down"), grace_s=0.05)
    assert len(application.lost) == 1
    assert not server.connections


async def test_many_connections_leave_nothing_behind(tmp_path: Path) -> None:
    application = EchoApplication()
    async with serving(tmp_path / "s", application) as server:

        async def come_and_go(count: int) -> int:
            for number in range(count):
                reader, writer = await connect(tmp_path / "s")
                await ask(reader, writer, request_line(number, "echo"))
                writer.close()
                await writer.wait_closed()
            await until(lambda: not server.connections)
            return len(os.listdir("/proc/self/fd"))

        before = await come_and_go(5)
        assert await come_and_go(300) <= before
    assert len(application.lost) == 305


async def test_a_slow_reader_gets_everything_and_a_closed_one_is_aborted(tmp_path: Path) -> None:
    limits = ServerLimits(client=ConnectionLimits(close_grace_max_s=0.05))
    application = BigApplication()
    async with serving(tmp_path / "s", application, limits=limits) as server:
        reader, writer = await connect(tmp_path / "s")
        writer.write(b"".join(request_line(n, "big") for n in range(40)))
        for n in range(40):
            assert json.loads(await reader.readline())["id"] == n
        stuck = socket.socket(socket.AF_UNIX)
        stuck.connect(str(tmp_path / "s"))
        stuck.sendall(b"".join(request_line(n, "big") for n in range(40)))
        await until(lambda: len(application.sessions) == 2 and application.sessions[1].waiting_bytes)
        application.sessions[1].close("kill client")
        await until(lambda: len(server.connections) == 1)
        stuck.close()
        writer.close()


def _misbehave(path: str, stop: threading.Event, kind: int) -> list[socket.socket]:
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(path)
    if kind == 0:  # asks for much and never reads
        peer.setblocking(False)
        for n in range(400):
            try:
                peer.send(request_line(n, "big"))
            except BlockingIOError:
                break
    elif kind == 1:  # begins a line and never ends it
        peer.sendall(b'{"jsonrpc"')
    elif kind == 2:  # dies in the middle of a line
        peer.sendall(request_line(1, "later")[:-5])
        peer.close()
    elif kind == 3:  # sends what is no protocol
        peer.sendall(os.urandom(20_000) + b"\n" * 2_000)
    elif kind == 4:  # sends one endless line
        try:
            for _ in range(40):
                peer.sendall(b"[" * 4096)
        except OSError:
            pass
    return [peer]


async def test_a_hundred_misbehaving_clients_do_not_stop_the_others(tmp_path: Path) -> None:
    path = tmp_path / "s"
    application = BigApplication()
    limits = ServerLimits(client=ConnectionLimits(unfinished_line_max_s=0.2))
    async with serving(path, application, limits=limits) as server:
        stop = threading.Event()
        bad: list[socket.socket] = []
        for number in range(100):
            bad += await asyncio.to_thread(_misbehave, str(path), stop, number % 5)
        slow = await connect(path)
        dripped = request_line("drip", "echo", params={"text": "one byte at a time"})
        good = [await connect(path) for _ in range(10)]

        async def drip() -> None:
            for byte in dripped:
                slow[1].write(bytes([byte]))
                await asyncio.sleep(0)

        async def use(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for n in range(50):
                assert (await ask(reader, writer, request_line(n, "echo")))["id"] == n

        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            tasks.create_task(drip())
            for reader, writer in good:
                tasks.create_task(use(reader, writer))
        assert json.loads(await slow[0].readline())["id"] == "drip"
        for connection in server.connections:
            assert connection.waiting_bytes < 4 * 1024 * 1024
        # those who never finish a line, or sent too long a one, or died, are gone; the never-reading stay
        await until(lambda: len(server.connections) <= 20 + 20 + 11)
        for each in bad:
            each.close()
        for _, writer in [slow, *good]:
            writer.close()
        await until(lambda: not server.connections)
    assert len(application.lost) == len(application.sessions)
