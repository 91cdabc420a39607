"""systemd's side of the process: a fake notify socket, really inherited descriptors, credential files."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from mbtd.clock import ManualClock
from mbtd.limits import CREDENTIAL_MAX_BYTES
from mbtd.secret import Secret
from mbtd.systemd import HandedOverWrongly, Notifier, credential, inherited_sockets


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The end of the notify socket that systemd would hold."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "notify"))
        end.settimeout(5)
        yield end


def test_systemd_hears_the_life_of_the_process_in_order(manager: socket.socket) -> None:
    environ = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "15000000", "PATH": "/bin"}
    notifier = Notifier.from_environ(environ)
    assert environ == {"PATH": "/bin"}
    assert notifier.heard
    assert notifier.watchdog_us == 15_000_000
    assert notifier.status("recovering:\n 10 accounts")
    assert notifier.ready("serving")
    assert notifier.watchdog()
    assert notifier.reloading(ManualClock(monotonic_ns=5_000_000))
    assert notifier.ready()
    assert notifier.stopping()
    assert [manager.recv(4096).decode() for _ in range(6)] == [
        "STATUS=recovering: 10 accounts",
        "READY=1\nSTATUS=serving",
        "WATCHDOG=1",
        "RELOADING=1\nMONOTONIC_USEC=5000",
        "READY=1",
        "STOPPING=1",
    ]
    notifier.close()
    assert not notifier.watchdog()


def test_an_abstract_address_is_understood() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(f"\0mbtd-test-{os.getpid()}")
        end.settimeout(5)
        notifier = Notifier(f"@mbtd-test-{os.getpid()}")
        assert notifier.ready()
        assert end.recv(100) == b"READY=1"
        notifier.close()


def test_without_systemd_nothing_is_said_and_nothing_fails() -> None:
    notifier = Notifier.from_environ({})
    assert not notifier.heard
    assert notifier.watchdog_us is None
    assert not notifier.ready()


def test_a_manager_that_is_gone_or_does_not_read_holds_nobody_up(tmp_path: Path, manager: socket.socket) -> None:
    gone = Notifier(str(tmp_path / "gone"))
    assert not gone.ready()
    gone.close()
    notifier = Notifier(manager.getsockname())
    answers = [notifier.watchdog() for _ in range(5_000)]
    assert answers[0]
    assert not answers[-1]
    notifier.close()


def test_the_watchdog_of_another_process_is_not_ours() -> None:
    assert Notifier.from_environ({"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}).watchdog_us is None
    assert Notifier.from_environ({"WATCHDOG_USEC": "soon"}).watchdog_us is None


def activated(script: str, sockets: Sequence[socket.socket | int], names: str | None, pid: str = "own") -> bytes:
    """Run ``script`` in a process that was handed the sockets from descriptor 3 on, as systemd does it."""
    launcher = textwrap.dedent("""
        import os, sys
        descriptors, names, pid, script = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4]
        given = [os.dup2(int(d), 100 + i) for i, d in enumerate(descriptors.split(","))]
        for i, d in enumerate(given):
            os.dup2(d, 3 + i)
        os.environ["LISTEN_FDS"] = str(len(given))
        os.environ["LISTEN_PID"] = str(os.getpid()) if pid == "own" else pid
        if names:
            os.environ["LISTEN_FDNAMES"] = names
        os.execv(sys.executable, [sys.executable, "-c", script])
    """)
    numbers = [each if isinstance(each, int) else each.fileno() for each in sockets]
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            launcher,
            ",".join(map(str, numbers)),
            names or "",
            pid,
            textwrap.dedent(script),
        ],
        pass_fds=numbers,
        capture_output=True,
        timeout=30,
        check=False,
    )
    return done.stdout if done.returncode == 0 else done.stderr


REPORT = """
    import json, os
    from mbtd.systemd import inherited_sockets
    found = inherited_sockets(os.environ)
    print(json.dumps({
        "names": {name: [s.getsockname() for s in each] for name, each in found.items()},
        "blocking": [s.getblocking() for each in found.values() for s in each],
        "inheritable": [s.get_inheritable() for each in found.values() for s in each],
        "left": sorted(name for name in os.environ if name.startswith("LISTEN_")),
        "again": list(inherited_sockets(os.environ)),
    }))
"""


@pytest.fixture
def listeners(tmp_path: Path) -> Iterator[list[socket.socket]]:
    made = []
    for name in ("rpc", "admin", "second"):
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(tmp_path / name))
        listener.listen()
        made.append(listener)
    yield made
    for listener in made:
        listener.close()


def test_sockets_arrive_by_name_close_on_exec_and_non_blocking(listeners: list[socket.socket]) -> None:
    answer = msgspec.json.decode(activated(REPORT, listeners, "rpc:admin:rpc"))
    rpc, admin, second = (listener.getsockname() for listener in listeners)
    assert answer == {
        "names": {"rpc": [rpc, second], "admin": [admin]},
        "blocking": [False] * 3,
        "inheritable": [False] * 3,
        "left": [],
        "again": [],
    }


def test_an_inherited_socket_serves(listeners: list[socket.socket]) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(listeners[0].getsockname())
        said = activated(
            """
            import os
            from mbtd.systemd import inherited_sockets
            (listener,) = inherited_sockets(os.environ)["rpc"]
            connection, _ = listener.accept()
            connection.sendall(b"hello")
            """,
            [listeners[0]],
            "rpc",
        )
        assert said == b""
        assert client.recv(100) == b"hello"


def test_sockets_without_names_are_still_handed_over(listeners: list[socket.socket]) -> None:
    answer = msgspec.json.decode(activated(REPORT, listeners[:1], None))
    assert answer["names"] == {"unknown": [listeners[0].getsockname()]}


def test_sockets_meant_for_another_process_are_left_alone(listeners: list[socket.socket]) -> None:
    answer = msgspec.json.decode(activated(REPORT, listeners[:1], "rpc", pid="1"))
    assert (answer["names"], answer["left"]) == ({}, [])


def test_a_descriptor_that_is_no_socket_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        said = activated(REPORT, [file.fileno()], "rpc")
    assert b"HandedOverWrongly: descriptor 3 from LISTEN_FDS is not a socket" in said


def test_without_socket_activation_there_are_none() -> None:
    assert inherited_sockets({}) == {}
    assert inherited_sockets({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "many"}) == {}


def test_a_credential_is_read_from_its_file_and_does_not_show(tmp_path: Path) -> None:
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    (tmp_path / "alpaca_secret").write_text("k3y\n")
    found = credential("alpaca_secret", environ)
    assert found == Secret("k3y")
    assert found is not None
    assert found.reveal() == "k3y"
    assert "k3y" not in f"{found} {found!r} {[found]}"
    assert credential("absent", environ) is None
    assert credential("alpaca_secret", {}) is None


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"x" * (CREDENTIAL_MAX_BYTES + 1)])
def test_a_credential_that_cannot_be_used_is_refused_without_its_text(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(HandedOverWrongly, match="credential key") as caught:
        credential("key", {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert caught.value.exit_status == 78
    assert "xxx" not in str(caught.value)


def test_a_credential_cannot_be_a_path(tmp_path: Path) -> None:
    for name in ("../key", "a/b", "", ".."):
        with pytest.raises(ValueError, match="plain file name"):
            credential(name, {"CREDENTIALS_DIRECTORY": str(tmp_path)})


def test_a_secret_is_not_written_anywhere() -> None:
    import pickle

    with pytest.raises(TypeError, match="not written"):
        pickle.dumps(Secret("k3y"))
    with pytest.raises(TypeError):
        msgspec.json.encode(Secret("k3y"))
