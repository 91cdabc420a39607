"""``mbtd replay``: recorded market data and a script of commands through the real engine and store (contracts §2).

Invariants: tape time is the only clock; the output is a pure function of recordings, script, profile, seed and
configuration, whatever groups it was stored in and however often it was killed; a line is written only when the
step behind it is durable. Known limits: every account stays in memory, and a resume folds the journal from its
start and puts the tape back on the board by reading it again.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import msgspec

from mbtd.cli import exits
from mbtd.replay.run import OtherInputs, Replay, ReplayRefused
from storage.errors import AlreadyRunning, Corrupt, StorageError, WrongDatabase

if TYPE_CHECKING:
    from mbtd.cli.options import ReplayOptions


def main(options: ReplayOptions) -> int:
    """Run or resume a replay; returns the exit status."""
    from mbtd.market.recordings import RecordingError
    from mbtd.replay.script import ScriptError

    try:
        with Replay.prepare(options) as replay:
            summary = replay.run()
    except (ScriptError, ReplayRefused) as error:
        return _say(error, exits.USAGE)
    except RecordingError as error:
        missing = not all(path.is_file() for path in options.recordings)
        return _say(error, exits.USAGE if missing else exits.DATA)
    except (OtherInputs, Corrupt, WrongDatabase) as error:
        return _say(error, exits.DATA)
    except AlreadyRunning as error:
        return _say(error, exits.TRY_AGAIN)
    except (StorageError, OSError) as error:
        return _say(error, exits.STORAGE)
    if options.json:
        sys.stdout.write(msgspec.json.encode(summary).decode() + "\n")
    else:
        sys.stderr.write(summary.text() + "\n")
    return exits.DONE


def _say(error: Exception, status: int) -> int:
    sys.stderr.write(f"mbtd replay: {error}\n")
    return status
