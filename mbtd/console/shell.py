"""``mbtd console``: a conversation with the running daemon, over the operators' socket (operations §9).

Words are commands; ``help`` lists them, the tabulator completes them, the history is kept between sessions. ``!``
before a line runs it as Python inside the daemon, where that is switched on. With words on the command line it
runs one command and ends. Invariant: it only speaks the protocol; it knows nothing that the socket does not say.
"""

from __future__ import annotations

import contextlib
import os
import readline
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mbtd.cli import exits, output
from mbtd.console.screens import status_text
from mbtd.rpc.client import Client
from mbtd.rpc.wire import ConnectionLost, RpcRefusal

HISTORY_LINES = 1_000
LONG_S = 3_600.0
WHAT = (
    "accounts", "account", "mailboxes", "clients", "streams", "tasks", "feed", "storage", "limits", "metrics",
    "config", "switches",
)  # fmt: skip
SWITCHES = ("trading_disabled", "new_orders_disabled", "market_data_disabled")
LEVELS = ("debug", "info", "warning", "error")
_SIMPLE = {
    "pause": ("admin.pause", "commands, market and timers wait until `resume`"),
    "resume": ("admin.resume", "go on after `pause` or `drain`"),
    "drain": ("admin.drain", "refuse new commands, finish those that wait"),
    "reload": ("admin.reload", "read the configuration again"),
    "backup": ("admin.backup", "make a backup now"),
    "verify": ("admin.verify", "check what is stored"),
    "purge": ("admin.purge", "forget history that its tier no longer keeps"),
    "shutdown": ("admin.shutdown", "stop the daemon"),
}


class Misspoken(ValueError):
    """The line is no command; the text says what was expected."""


class Shell:
    """Reads lines, asks the daemon, prints what it says."""

    def __init__(self, client: Client, *, as_json: bool) -> None:
        self._client = client
        self._json = as_json
        self._commands: dict[str, Callable[[list[str]], Any]] = {
            **{word: self._simple(method) for word, (method, _) in _SIMPLE.items()},
            "show": self._show,
            "status": self._status,
            "switch": self._switch,
            "log-level": self._log_level,
            "kill": self._kill,
            "checkpoint": self._checkpoint,
        }

    def run(self, line: str) -> int:
        """One line; the exit status of it."""
        try:
            if any("\udc80" <= letter <= "\udcff" for letter in line):
                raise Misspoken("the line is not valid UTF-8")
            if line.startswith("!"):
                answer = self._client.call("admin.prompt", line=line[1:].strip())
                output.put_json(answer) if self._json else output.put(answer["output"].rstrip("\n"))
                return exits.DONE
            words = shlex.split(line)
            if not words:
                return exits.DONE
            if words[0] in ("help", "quit", "exit"):
                if words[0] == "help":
                    output.put(help_text())
                return exits.DONE
            command = self._commands.get(words[0])
            if command is None:
                raise Misspoken(f"there is no command {words[0][:40]!r}; see help")
            return self._tell(words, command(words[1:]))
        except (Misspoken, ValueError) as error:
            output.say(f"mbtd: {error}")
            return exits.USAGE
        except RpcRefusal as refusal:
            if self._json:
                output.put_json({"error": refusal.error})
            else:
                output.explain_refusal(refusal.error)
            return exits.status_of(refusal) or exits.REFUSED
        except (ConnectionLost, TimeoutError) as error:
            output.say(f"mbtd: {error}")
            return exits.status_of(error) or exits.TRY_AGAIN

    def give_up(self) -> None:
        """Stop waiting for an answer that was interrupted; the daemon may still do what was asked."""
        self._client.close()
        output.say("interrupted")

    def _simple(self, method: str) -> Callable[[list[str]], Any]:
        def call(words: list[str]) -> Any:
            if words:
                raise Misspoken("this command takes no words")
            patience, self._client.timeout_s = self._client.timeout_s, LONG_S
            try:
                return self._client.call(method)
            finally:
                self._client.timeout_s = patience

        return call

    def _show(self, words: list[str]) -> Any:
        if not words or words[0] not in WHAT:
            raise Misspoken(f"show what? {', '.join(WHAT)}")
        if words[0] == "account":
            if len(words) != 2:
                raise Misspoken("show account NAME")
            return self._client.call("admin.show", what="account", account=words[1])
        if len(words) != 1:
            raise Misspoken(f"show {words[0]} takes no more words")
        return self._client.call("admin.show", what=words[0])

    def _status(self, words: list[str]) -> Any:
        if words:
            raise Misspoken("this command takes no words")
        return self._client.call("health.get")

    def _checkpoint(self, words: list[str]) -> Any:
        if words not in ([], ["truncate"]):
            raise Misspoken("checkpoint [truncate]")
        return self._client.call("admin.checkpoint", truncate=bool(words))

    def _switch(self, words: list[str]) -> Any:
        if len(words) < 2 or words[0] not in SWITCHES or words[1] not in ("on", "off"):
            raise Misspoken(f"switch {'|'.join(SWITCHES)} on|off WHY")
        if len(words) < 3:
            raise Misspoken(f"say why, for the audit trail: switch {words[0]} {words[1]} WHY")
        return self._client.call("admin.switch", name=words[0], on=words[1] == "on", why=" ".join(words[2:]))

    def _log_level(self, words: list[str]) -> Any:
        if len(words) != 1 or words[0] not in LEVELS:
            raise Misspoken(f"log-level {'|'.join(LEVELS)}")
        return self._client.call("admin.log_level", level=words[0])

    def _kill(self, words: list[str]) -> Any:
        if len(words) != 2 or words[0] != "client" or not words[1].isdigit():
            raise Misspoken("kill client NUMBER (see show clients)")
        return self._client.call("admin.kill_client", client=int(words[1]))

    def _tell(self, words: list[str], answer: Any) -> int:
        status = int(answer.get("exit_status") or 0) if isinstance(answer, dict) else 0
        if self._json:
            output.put_json(answer)
        elif words[0] == "status":
            output.put(status_text(answer))
        elif words[0] == "show":
            _put_table(answer[words[1]])
        elif words[0] == "verify" and "findings" in answer:
            output.put(output.table(output.findings(answer["findings"]), output.FINDING_COLUMNS))
            output.put(f"{answer['accounts']} accounts up to event {answer['seq']} of {answer['directory']}")
        else:
            output.put(output.block(answer) or "done")
        return status


def _put_table(found: Any) -> None:
    if isinstance(found, list):
        if found:
            output.put(output.table(found, [(name.replace("_", " "), name) for name in found[0]]))
        else:
            output.say("(none)")
    else:
        output.put(output.block(found))


def help_text() -> str:
    """Every command with one line."""
    rows = [
        ("show WHAT", "look at " + ", ".join(WHAT)),
        ("status", "the state on one screen"),
        ("switch NAME on|off WHY", "throw or clear a kill switch: " + ", ".join(SWITCHES)),
        ("log-level LEVEL", "what the log says from now on: " + ", ".join(LEVELS)),
        ("kill client NUMBER", "end a connection"),
        ("checkpoint [truncate]", "move the log's pages home"),
        *((word, text) for word, (_, text) in _SIMPLE.items()),
        ("!PYTHON", "run a line of Python inside the daemon (server.debug_prompt)"),
        ("help, quit", ""),
    ]
    width = max(len(word) for word, _ in rows)
    return "\n".join(f"{word:<{width}}  {text}".rstrip() for word, text in rows)


def complete(line: str) -> list[str]:
    """What could stand where the line ends."""
    words = line.split(" ")
    before, start = words[:-1], words[-1]
    if not before:
        choices: tuple[str, ...] = (
            "show",
            "status",
            "switch",
            "log-level",
            "kill",
            "checkpoint",
            *_SIMPLE,
            "help",
            "quit",
        )
    else:
        following: dict[str, tuple[tuple[str, ...], ...]] = {
            "show": (WHAT,),
            "switch": (SWITCHES, ("on", "off")),
            "log-level": (LEVELS,),
            "kill": (("client",),),
            "checkpoint": (("truncate",),),
        }
        places = following.get(before[0], ())
        choices = places[len(before) - 1] if len(before) <= len(places) else ()
    return [choice for choice in choices if choice.startswith(start)]


def _nth_choice(line: str, n: int) -> str | None:
    """For readline: the ``n``-th choice; the only one with the space that a next word needs."""
    choices = complete(line)
    if len(choices) == 1 and complete(f"{line.rpartition(' ')[0]} {choices[0]} ".lstrip()):
        choices = [choices[0] + " "]
    return choices[n] if n < len(choices) else None


def main(client: Client, words: list[str], as_json: bool) -> int:
    """One command, or a conversation until the end of input."""
    with client:
        shell = Shell(client, as_json=as_json)
        if words:
            return shell.run(" ".join(words) if words[0].startswith("!") else shlex.join(words))
        client.connect()
        return _converse(shell)


def _converse(shell: Shell) -> int:
    history = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "mbtd" / "console"
    interactive = sys.stdin.isatty()
    if interactive:
        with contextlib.suppress(OSError):
            history.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            readline.read_history_file(history)
        readline.set_completer_delims(" ")
        readline.set_completer(lambda text, n: _nth_choice(readline.get_line_buffer(), n))
        readline.parse_and_bind("tab: complete")
        output.say("mbtd console; help lists the commands, end with quit or Ctrl-D")
    status = exits.DONE
    while True:
        try:
            line = input("mbtd> " if interactive else "").strip()
            if line in ("quit", "exit"):
                break
            status = shell.run(line)
        except EOFError:
            break
        except KeyboardInterrupt:
            # Ctrl-C drops a line, or stops waiting for an answer; it does not end the conversation.
            status = exits.INTERRUPTED
            if interactive:
                output.say("")
            shell.give_up()
            if not interactive:
                break
    if interactive:
        with contextlib.suppress(OSError):
            readline.set_history_length(HISTORY_LINES)
            readline.write_history_file(history)
    return exits.DONE if interactive else status
