"""The command line against a server on a real socket: what is sent, what is printed, how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mbtd.cli import main
from mbtd.cli.options import CheckConfigOptions, ReplayOptions, ServeOptions
from mbtd.cli.order_words import in_words
from tests.cli.shell import Shell, sent
from tests.rpc.fake_broker import Running


def test_a_refusal_says_why_with_numbers_and_what_to_do(running: Running, shell: Shell) -> None:
    assert shell("order place alice buy 1000 SPY") == 1
    assert shell.out == ""
    for part in (
        "insufficient_buying_power",
        "3010",
        "450,100.00",
        "100,000.00",
        "Order less",
        "403 40310000",
    ):
        assert part in shell.err
    assert shell("order place alice buy 1000 SPY --json") == 1
    assert shell.json["error"]["data"]["reason"] == "insufficient_buying_power"
    assert shell.err == ""


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("unknown_account", 1),
        ("internal_error", 70),
        ("storage_fault", 74),
        ("mailbox_full", 75),
        ("storage_full", 75),
        ("not_permitted", 77),
    ],
)
def test_exit_statuses_of_refusals(running: Running, shell: Shell, fault: str, status: int) -> None:
    running.broker.faults["account.get"] = [fault]
    assert shell("account show alice") == status
    assert fault in shell.err


def test_exit_statuses_of_connections(running: Running, shell: Shell, tmp_path: Path) -> None:
    running.broker.faults["order.cancel"] = ["lose before"]
    assert shell("order cancel alice o") == 75
    assert shell(f"status --socket {tmp_path / 'none'}") == 69
    assert "mbtd serve" in shell.err


def test_waiting_for_a_fill(running: Running, shell: Shell) -> None:
    running.broker.fill_at_once = True
    assert shell("order place alice buy 10 SPY --wait 5") == 0
    assert "filled           10 at 450.10" in shell.out
    assert shell("order place alice buy 10 SPY --wait 5 --json") == 0
    assert shell.json["order"]["status"] == "filled"
    assert shell("order place alice buy 10 SPY --wait 5 --client-order-id again") == 0
    assert shell("order place alice buy 10 SPY --wait 5 --client-order-id again") == 0
    assert "the same order as before" in shell.out


def test_waiting_in_vain_says_so_and_why(running: Running, shell: Shell) -> None:
    told = {"explanation": "The leg A holds the whole unit back."}
    running.broker.order_why = lambda session, values: told  # type: ignore[method-assign]
    begun = time.monotonic()
    assert shell("order place alice buy 10 SPY --limit 1 --wait 0.05") == 75
    assert time.monotonic() - begun < 3
    assert "stays accepted" in shell.err
    assert shell.err.endswith("The leg A holds the whole unit back.\n")
    assert "order_id" in shell.out


def test_accounts(running: Running, shell: Shell) -> None:
    assert shell("account create --name bob --type margin --tier pro --cash 5000 --options-level 3") == 0
    assert "shown this once" in shell.err
    assert "api_secret" in shell.out
    assert sent(running, "account.create") == {
        "name": "bob",
        "user_id": "bob",
        "type": "margin",
        "tier": "pro",
        "cash": "5000",
        "options_level": 3,
    }
    assert shell("account create bob --json") == 1
    assert shell.json["error"]["data"]["reason"] == "name_taken"
    assert shell("account show bob --json") == 0
    assert shell.json["id"] == "acc-bob"
    running.broker.accounts["bob"]["reserved_for_orders"] = "100"
    assert shell("account show bob") == 0
    assert "100 of buying power" in shell.out
    assert shell("account show bob --json") == 0
    assert shell.json["reserved_for_orders"] == "100"
    assert shell("account deposit bob 12.50") == 0
    assert sent(running, "account.deposit") == {"account": "bob", "amount": "12.50"}
    assert shell("account configure --account bob --no-shorting true") == 0
    assert sent(running, "account.configure") == {"account": "bob", "no_shorting": True}
    assert shell("account configure bob --max-options-trading-level 2") == 0
    assert sent(running, "account.configure") == {"account": "bob", "max_options_trading_level": 2}


def test_lists_are_tables_over_all_pages(running: Running, shell: Shell) -> None:
    for number in range(4):
        running.broker.open_account(f"user{number}")
    assert shell("account list") == 0
    lines = shell.out.splitlines()
    assert len(lines) == 6
    assert lines[0].split()[:2] == ["name", "type"]
    assert {line.index("100000") for line in lines[1:]} == {lines[1].index("100000")}
    assert shell("account list --limit 3") == 0
    assert len(shell.out.splitlines()) == 4
    assert "--limit" in shell.err
    assert shell("account list --json") == 0
    assert [item["name"] for item in shell.json["items"]] == ["alice", "user0", "user1", "user2", "user3"]


def test_orders(running: Running, shell: Shell) -> None:
    assert shell("order list alice") == 0
    assert (shell.out, shell.err) == ("", "no orders\n")
    assert shell("order place alice buy 10 SPY") == 0
    assert shell("order list --account alice --status open --symbol SPY") == 0
    assert sent(running, "order.list") == {
        "account": "alice",
        "status": "open",
        "symbols": ["SPY"],
        "limit": 100,
    }
    assert "SPY" in shell.out
    unit = {"qty": "1", "order_class": "mleg", "legs": [{"symbol": "SPY261218C00450000", "side": "buy"}]}
    running.broker.orders["unit"] = {**unit, "id": "ord-u", "type": "market"}
    assert shell("order list alice") == 0
    assert "SPY 2026-12-18 +450C" in shell.out
    del running.broker.orders["unit"]
    assert shell("order show alice ord-0") == 0
    assert shell("order cancel alice ord-0") == 0
    assert shell("order cancel --account alice --client-order-id c") == 0
    assert sent(running, "order.cancel") == {"account": "alice", "client_order_id": "c"}
    assert shell("order cancel-all alice") == 0
    assert "1 order" in shell.err
    assert shell("order preview alice buy 10 SPY") == 0
    assert "450.1" in shell.out
    assert "4,501 of 100,000" in shell.out
    assert shell("order preview alice buy 1000 SPY --json") == 1


def test_why_finds_orders_too(running: Running, shell: Shell) -> None:
    assert shell("why ord-1 --account alice") == 0
    assert "450.10" in shell.out
    assert [method for method, _ in running.broker.asked] == ["fill.why", "order.why"]


@pytest.mark.parametrize(
    ("time", "shown"),
    [
        ("2026-11-30T14:30:00Z", "2026-11-30T14:30:00Z"),
        ("2026-11-30T14:30:00.5Z", "2026-11-30T14:30:00.5Z"),
        ("2026-11-30T14:30:00.123456789Z", "2026-11-30T14:30:00.123Z"),
    ],
)
def test_a_fills_time_is_cut_and_stays_a_time(time: str, shown: str) -> None:
    order = {"side": "buy", "qty": "1", "symbol": "SPY", "type": "market", "status": "filled"}
    answer = {
        "order": order,
        "explanation": "It filled.",
        "fills": [{"transaction_time": time, "explanation": "1 of 1."}],
    }
    assert in_words(answer).splitlines()[2] == f"* {shown} 1 of 1."


def test_status(running: Running, shell: Shell) -> None:
    assert shell("status") == 0
    assert shell.out.splitlines()[0] == "degraded"
    assert "feed_down" in shell.out
    assert "\x1b" not in shell.out


def test_a_stream_is_printed_line_by_line(running: Running, shell: Shell) -> None:
    running.broker.emit("acc-alice", {"event": "order.new", "symbol": "SPY\x1b[2J"})
    assert shell("stream account:acc-alice --from-n 0 --seconds 0.2") == 0
    assert shell.out == "account:acc-alice #1 order.new: symbol SPY?[2J\n"
    assert shell("stream account:alice --seconds 0.05 --json") == 0
    assert shell.json["kind"] == "snapshot"


def _stub(monkeypatch: pytest.MonkeyPatch, name: str, result: int) -> list[Any]:
    taken: list[Any] = []
    module = ModuleType(name)

    def run(options: Any) -> int:
        taken.append(options)
        return result

    module.main = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, name, module)
    return taken


def test_serve_and_replay_hand_their_options_over(monkeypatch: pytest.MonkeyPatch, shell: Shell) -> None:
    served = _stub(monkeypatch, "mbtd.daemon", 78)
    assert shell("serve") == 78
    line = "serve --config c --state d --feed replay --recording a b --recording e --speed 10 --gateway off"
    assert shell(line + " --seed 7") == 78
    assert served == [
        ServeOptions(),
        ServeOptions(
            config=Path("c"),
            state=Path("d"),
            feed="replay",
            recordings=(Path("a"), Path("b"), Path("e")),
            speed=10.0,
            gateway="off",
            seed=7,
        ),
    ]
    replayed = _stub(monkeypatch, "mbtd.replay", 65)
    line = "replay --recording a b --script s --state d --out o --profile p --seed 1"
    assert shell(line + " --until 2013-10-07T20:00:00Z") == 65
    assert replayed == [
        ReplayOptions(
            recordings=(Path("a"), Path("b")),
            script=Path("s"),
            state=Path("d"),
            out=Path("o"),
            profile="p",
            seed=1,
            until="2013-10-07T20:00:00Z",
        )
    ]
    checked = _stub(monkeypatch, "mbtd.config", 0)
    assert shell("check-config --config c --json") == 0
    assert checked == [CheckConfigOptions(config=Path("c"), json=True)]


def test_as_a_process_it_is_quick_and_a_closed_pipe_is_no_failure(running: Running) -> None:
    command = [sys.executable, "-m", "mbtd.cli", "order", "list", "alice", "--json"]
    begun = time.monotonic()
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert time.monotonic() - begun < 1.5
    assert json.loads(shown.stdout) == {"items": []}
    script = f"{sys.executable} -m mbtd.cli account list | true; exit ${{PIPESTATUS[0]}}"
    assert subprocess.run(["bash", "-c", script], capture_output=True).returncode == 0


@pytest.mark.parametrize("words", [["status"], ["--help"], ["order", "list", "alice"]], ids=str)
def test_an_interrupt_while_the_command_is_being_read_ends_in_one_line(words: list[str]) -> None:
    script = """
import os, signal, sys
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "msgspec":
            os.kill(os.getpid(), signal.SIGINT)
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Interrupting())
from mbtd.cli import main
sys.exit(main(sys.argv[1:]))
"""
    ended = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (130, "")
    assert ended.stderr == "mbtd: interrupted\n"


def test_an_interrupt_of_a_running_command_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from mbtd.cli import program

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(program, "build_parser", interrupted)
    assert main(["status"]) == 130
