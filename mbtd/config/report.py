"""What an operator sees of the settings: what is in force, where it came from, what a reload may change."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from mbtd.config.layers import ConfigError, Loaded, Problem, values
from mbtd.config.model import Config, Switches

if TYPE_CHECKING:
    from mbtd.cli.options import CheckConfigOptions

RELOADABLE = (
    "switches.",
    "log.level",
    "log.repeat_every_s",
    "server.client.",
    "server.service.",
    *(f"server.{role}_{by}" for role in ("service", "operator", "viewer") for by in ("uids", "groups")),
    "server.traders",
    "server.connections_max",
    "server.connections_per_uid_max",
)
"""Settings, or beginnings of their keys, that a running daemon takes over."""

ENVIRONMENT_SWITCHES = {
    "MBT_TRADING_DISABLED": "trading_disabled",
    "MBT_NEW_ORDERS_DISABLED": "new_orders_disabled",
    "ALPACA_MARKET_DATA_DISABLED": "market_data_disabled",
}
_OFF = frozenset(("", "0", "false", "no", "off"))


class Row(Struct, frozen=True):
    """One setting as it is in force."""

    key: str
    value: str
    origin: str
    reloadable: bool


def find_config(given: str | None, environ: Mapping[str, str]) -> Path | None:
    """The file given, or ``MBTD_CONFIG``, ``./config.toml``, ``/etc/mbtd/config.toml``, or none."""
    named = given or environ.get("MBTD_CONFIG")
    if named:
        return Path(named)
    return next((path for path in (Path("config.toml"), Path("/etc/mbtd/config.toml")) if path.exists()), None)


def environment_switches(environ: Mapping[str, str]) -> Switches:
    """The kill switches thrown by the environment. A value that is not plainly off throws its switch."""
    return Switches(
        **{field: environ.get(name, "").strip().lower() not in _OFF for name, field in ENVIRONMENT_SWITCHES.items()}
    )


def render(loaded: Loaded[Config]) -> list[Row]:
    """One row for each setting, in the order of ``config.toml``. No setting holds a secret."""
    return [Row(key, _text(value), loaded.origins[key], is_reloadable(key)) for key, value in values(loaded.config)]


def is_reloadable(key: str) -> bool:
    """True when a running daemon takes over a new value of this setting."""
    return any(key == each or (each.endswith(".") and key.startswith(each)) for each in RELOADABLE)


def changes(old: Loaded[Config], new: Loaded[Config]) -> tuple[str, ...]:
    """Keys whose values differ, for a reload: all or nothing.

    Raises ``ConfigError`` when one of them needs a restart; the old settings then stay in force.
    """
    before = dict(values(old.config))
    changed = tuple(key for key, value in values(new.config) if value != before[key])
    fixed = [key for key in changed if not is_reloadable(key)]
    if fixed:
        raise ConfigError(Problem(new.origins[key], key, "needs a restart; nothing was changed") for key in fixed)
    return changed


def main(options: CheckConfigOptions) -> int:
    """``mbtd check-config``, as the command line calls it."""
    given = str(options.config) if options.config is not None else None
    return check_config(find_config(given, os.environ), options.json)


def check_config(path: Path | None, json: bool = False, environ: Mapping[str, str] | None = None) -> int:
    """``mbtd check-config``: show what is in force and its origins; 0, or 78 with the reasons on stderr."""
    surroundings = os.environ if environ is None else environ
    try:
        loaded = Config.load(path, surroundings)
    except ConfigError as error:
        if json:
            _write(msgspec.json.encode({"ok": False, "problems": error.problems}).decode())
        print(error, file=sys.stderr)
        return error.exit_status
    thrown = [
        name for name, field in ENVIRONMENT_SWITCHES.items() if getattr(environment_switches(surroundings), field)
    ]
    if json:
        _write(msgspec.json.encode({"ok": True, "settings": render(loaded), "switches_thrown": thrown}).decode())
    else:
        for line in _table(render(loaded)):
            _write(line)
        for name in thrown:
            _write(f"{name} is set: it throws its kill switch, whatever [switches] says")
    return 0


def _table(rows: list[Row]) -> Iterator[str]:
    key_width = max(len(row.key) for row in rows)
    value_width = min(max(len(row.value) for row in rows), 40)
    for row in rows:
        yield f"{row.key:<{key_width}}  {row.value:<{value_width}}  {row.origin}"


def _text(value: Any) -> str:
    if isinstance(value, Decimal):
        return str(value)
    return msgspec.json.encode(value).decode()


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")
