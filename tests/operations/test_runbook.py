"""Every state that health, an alert or an exit can name has a page, and every alert asks for a metric there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from actors.book.rules.admission.switches import SWITCHES
from mbtd.market.feed import FeedStateName
from mbtd.passing import PASSING

ROOT = Path(__file__).parents[2]
PAGES = {path.stem for path in (ROOT / "docs" / "runbook").glob("*.md")}


def test_every_reason_of_health_has_a_page() -> None:
    said = set(re.findall(r'reasons\.append\("(\w+)"\)', (ROOT / "mbtd" / "health.py").read_text()))
    feeds = {f"feed_{state}" for state in get_args(FeedStateName) if state != "live"}
    others = {"storage_full", "draining", "disk_filling", "backup_old", "drill_old"}
    assert said | feeds | set(SWITCHES) | set(PASSING) | others <= PAGES


def test_every_alert_names_a_page_and_real_metrics() -> None:
    rules = (ROOT / "systemd" / "mbtd.rules.yml").read_text()
    assert {Path(page).stem for page in re.findall(r"runbook: (\S+?)}", rules)} <= PAGES
    made = (ROOT / "mbtd" / "metrics.py").read_text()
    for name in set(re.findall(r"mbtd_[a-z_]+", rules)):
        stem = re.sub(r"_(bucket|total)$", "", name)
        stem = re.sub(r"_last_(backup|drill)_", "_last_{name}_", stem)
        assert stem in made, name


def test_pages_lead_somewhere() -> None:
    for path in (ROOT / "docs" / "runbook").glob("*.md"):
        text = path.read_text()
        assert set(re.findall(r"\]\((\w+)\.md\)", text)) <= PAGES, path
        if path.stem != "README":
            assert "## What to do" in text
