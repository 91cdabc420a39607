"""Readers of the tape beside the engine: the daily files, the bars and the quote streams.

Invariants: they see exactly what the engine applied, in its order and under its numbers, right after it did. None
of them can hold the engine up: a file that cannot be written switches itself off and says so.
Known limit: files are not synced; receipts are self-contained and do not need them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from actors.market.messages import Quote, TapeMessage, Trade
from mbtd.logs import get_logger
from mbtd.market.bars import Bars
from storage.errors import OutOfSequence
from storage.tape import TapeWriter

log = get_logger(subsystem="tape")
_encode = msgspec.msgpack.Encoder().encode


class TapeReaders:
    """What happens to messages that the engine has applied."""

    def __init__(
        self,
        files: TapeWriter | None,
        quote_symbols: Callable[[], object],
        publish_quotes: Callable[[set[str]], None],
        trade_date: Callable[[], int],
    ) -> None:
        self.bars = Bars()
        self.files_problem = ""
        """Why no tape is being kept; empty while it is, or while none is wanted."""
        self.more: list[Callable[[Sequence[TapeMessage], int], None]] = []
        """Whoever else reads the tape here."""
        self._files = files
        self._resting = False
        self._quote_symbols = quote_symbols
        self._publish_quotes = publish_quotes
        self._trade_date = trade_date

    def __call__(self, messages: Sequence[TapeMessage], first_seq: int) -> None:
        """The engine has applied these, numbered from ``first_seq``."""
        self.bars.apply(messages)
        if self._quote_symbols():
            self._publish_quotes({m.symbol for m in messages if isinstance(m, Quote | Trade)})
        for reader in self.more:
            reader(messages, first_seq)
        if self._files is not None and not self._resting:
            self._write(self._files, messages, first_seq)

    def _write(self, files: TapeWriter, messages: Sequence[TapeMessage], first_seq: int) -> None:
        try:
            files.append(self._trade_date(), first_seq, [_encode(message) for message in messages])
        except (OSError, OutOfSequence) as error:
            self.files_problem, self._resting = str(error), True
            if isinstance(error, OutOfSequence):
                self._files = None
            log.error("tape.files_stopped", error=str(error))
            return
        if self.files_problem:
            self.files_problem = ""
            log.info("tape.files_resumed", first_seq=first_seq)

    def retry(self) -> None:
        """Let the next messages be written again, where writing had failed; called now and then."""
        self._resting = False

    def close(self) -> None:
        """End the current file."""
        if self._files is not None:
            self._files.close()


def open_files(directory: Path, day_max_bytes: int, max_days: int) -> TapeWriter | None:
    """Daily files within the configured bounds; ``None`` when none are wanted."""
    if max_days == 0:
        return None
    return TapeWriter(directory, max_file_bytes=day_max_bytes, max_total_bytes=day_max_bytes * max_days)
