"""Taking over a changed configuration while running: SIGHUP and ``admin.reload`` (operations §8).

Invariant: all or nothing. A setting that needs a restart, or any error, leaves everything as it was, and whoever
asked hears which key it was.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mbtd.config import Config, ConfigError, Loaded, changes
from mbtd.logs import get_logger
from mbtd.rpc.errors import refuse

log = get_logger(subsystem="config")
Apply = Callable[[Config, tuple[str, ...]], None]


class Settings:
    """The settings in force, and how they are read again."""

    def __init__(self, loaded: Loaded[Config], path: Path | None, flags: dict[str, object], apply: Apply) -> None:
        self.loaded = loaded
        self._path = path
        self._flags = flags
        self.apply = apply

    def reload(self) -> dict[str, Any]:
        """Read everything again and take over what changed. Raises a refusal."""
        try:
            fresh = Config.load(self._path, os.environ, self._flags)
            changed = changes(self.loaded, fresh)
        except ConfigError as error:
            log.error("config.reload_refused", problems=str(error)[:1_000])
            refuse("invalid_params", str(error)[:1_000], field=error.problems[0].key or None)
        except OSError as error:
            refuse("invalid_params", f"{self._path}: {error.strerror}")
        if changed:
            self.apply(fresh.config, changed)
        self.loaded = fresh
        log.info("config.reloaded", changed=list(changed))
        return {"changed": list(changed)}
