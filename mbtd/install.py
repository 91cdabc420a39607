"""``mbtd install --root DIR``: units, users, directories and a configuration for systemd, written below a root.

Invariants: a configuration that is there is left alone; units name the installation that runs this; nothing is
started. The daemon's own user is made by systemd when it starts (DynamicUser); groups and modes come from
sysusers.d and tmpfiles.d.
"""

from __future__ import annotations

import os
import sys
from importlib import resources
from pathlib import Path

UNITS = Path("usr/lib/systemd/system")
PLACES = {
    ".service": UNITS,
    ".socket": UNITS,
    ".timer": UNITS,
    ".sysusers": Path("usr/lib/sysusers.d"),
    ".tmpfiles": Path("usr/lib/tmpfiles.d"),
    ".rules.yml": Path("usr/share/mbtd"),
}
SETTINGS = {
    'directory = "var"': 'directory = "/var/lib/mbtd"',
    "service_groups = []": 'service_groups = ["mbtd-gateway"]',
    "operator_uids = []": "operator_uids = [0]",
    "operator_groups = []": 'operator_groups = ["mbtd-operators"]',
}
"""What an installed configuration says other than the defaults: root and the operators' group may operate, and
the gateway's group, in which only its service is, acts for all accounts."""
PLACEHOLDER = "/opt/mbtd/.venv"
GATEWAY = "systemctl enable --now mbtd-gateway.socket mbtd-gateway.service"
"""For those who want Alpaca's HTTP interface, too."""
NEXT = (
    "systemd-sysusers",
    "systemd-tmpfiles --create",
    "systemctl daemon-reload",
    "systemctl enable --now mbtd.socket mbtd-admin.socket mbtd.service mbtd-backup.timer mbtd-drill.timer",
)


def sources() -> list[Path]:
    """The files to install: of the source tree, or beside the installed package."""
    for place in (Path(__file__).parents[1] / "systemd", Path(str(resources.files("mbtd"))) / "systemd"):
        if place.is_dir():
            return sorted(path for path in place.iterdir() if _suffix(path) in PLACES)
    raise FileNotFoundError("the unit files are not beside this installation")


def _suffix(path: Path) -> str:
    return next((suffix for suffix in PLACES if path.name.endswith(suffix)), "")


def install(root: Path, prefix: Path | None = None) -> list[Path]:
    """Write everything below ``root``; the paths written. ``prefix`` is the virtual environment units run."""
    environment = str(prefix or Path(sys.prefix))
    written = []
    for source in sources():
        suffix = _suffix(source)
        name = source.name
        if suffix in (".sysusers", ".tmpfiles"):
            name = name.removesuffix(suffix) + ".conf"
        text = source.read_text().replace(PLACEHOLDER, environment)
        written.append(_write(root / PLACES[suffix] / name, text))
    configuration = root / "etc/mbtd/config.toml"
    example = Path(__file__).parents[1] / "config.toml"
    if not configuration.exists() and example.exists():
        text = example.read_text()
        for default, ours in SETTINGS.items():
            text = text.replace(default, ours)
        written.append(_write(configuration, text))
    return written


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text)
    os.chmod(temporary, 0o644)
    temporary.replace(path)
    return path
