"""Corporate actions on the wire: the operator's commands, and what alpaca-py's own clients read of them."""

from __future__ import annotations

import json
import uuid
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from alpaca.common.exceptions import APIError
from alpaca.data import requests as dr
from alpaca.data.historical.corporate_actions import CorporateActionsClient
from alpaca.trading import enums as en
from alpaca.trading import requests as rq

from mbtd.gateway.corporate import naming_actions
from mbtd.rpc.client import RpcRefusal
from tests.gateway.running import Served, User
from tests.service.running import printed

UUID_ID = "5d7fa1a0-7a4e-4e1c-9b5a-6f0b8c1d2e3f"


@pytest.fixture(scope="module")
def day(served: Served) -> str:
    """A trading day some weeks ahead."""
    today = date.fromisoformat(served.call("clock.get")["timestamp"][:10])
    days = served.call("calendar.list", start=today.isoformat(), end=(today + timedelta(days=60)).isoformat())
    rows = days["items"] if isinstance(days, dict) else days
    return str(rows[25]["date"])


def every_kind(day: str) -> dict[str, dict[str, Any]]:
    """One of each, by the name of its list."""
    ex, effective, process = {"ex_date": day}, {"effective_date": day}, {"process_date": day}
    merged = {"acquirer_symbol": "SPY", "acquirer_rate": "0.5", "acquiree_symbol": "ZQA", "acquiree_rate": "1"}
    return {
        "forward_splits": {"symbol": "ZQA", "new_rate": "3", "old_rate": "2", **ex},
        "reverse_splits": {"symbol": "ZQA", "new_rate": "1", "old_rate": "8", "old_cusip": "A", "new_cusip": "B", **ex},
        "unit_splits": {"old_symbol": "ZQA", "old_rate": "1", "new_symbol": "ZQB", "new_rate": "1",
                        "alternate_symbol": "ZQC", "alternate_rate": "0.3333", **effective},
        "stock_dividends": {"symbol": "ZQA", "rate": "0.05", **ex},
        "cash_dividends": {"symbol": "ZQA", "rate": "0.705", "special": True, "cusip": "123", **ex},
        "spin_offs": {"source_symbol": "ZQA", "source_rate": "3", "new_symbol": "ZQB", "new_rate": "1", **ex},
        "cash_mergers": {"acquiree_symbol": "ZQA", "rate": "54.2", **effective},
        "stock_mergers": {**merged, **effective},
        "stock_and_cash_mergers": {**merged, "cash_rate": "9", **effective},
        "redemptions": {"symbol": "ZQA", "rate": "0.141134", **process},
        "name_changes": {"old_symbol": "ZQA", "new_symbol": "ZQD", **process},
        "worthless_removals": {"symbol": "ZQA", **process},
        "rights_distributions": {"source_symbol": "ZQA", "new_symbol": "ZQA.RT", "rate": "1", **ex,
                                 "payable_date": day},
    }  # fmt: skip


@pytest.fixture(scope="module")
def announced(served: Served, day: str) -> dict[str, dict[str, Any]]:
    """All of them, announced."""
    kinds = every_kind(day)
    for name, words in kinds.items():
        ca_id = UUID_ID if name == "cash_dividends" else f"seen {name}"
        shown = served.call("corporate_action.announce", id=ca_id, type=name[:-1], **words)
        assert (shown["version"], shown["status"], shown["effective_date"]) == (1, "announced", day)
    return kinds


def test_the_sdk_reads_every_kind(user: User, day: str, announced: dict[str, dict[str, Any]]) -> None:
    client = CorporateActionsClient(user.key, user.secret, url_override=user.served.url)
    when = date.fromisoformat(day)
    found = client.get_corporate_actions(dr.CorporateActionsRequest(symbols=["ZQA"], start=when, end=when)).data
    assert set(found) == set(announced)
    for name, (row,) in found.items():
        assert row.process_date == when
        for field, told in announced[name].items():
            shown = getattr(row, field)
            if isinstance(shown, float):
                assert shown == float(told)
            elif isinstance(shown, date):
                assert shown.isoformat() == told
            else:
                assert shown == told
    assert str(found["cash_dividends"][0].id) == UUID_ID
    one = client.get_corporate_actions(dr.CorporateActionsRequest(ids=[str(found["spin_offs"][0].id)])).data
    assert list(one) == ["spin_offs"]
    nothing = dr.CorporateActionsRequest(
        symbols=["ZQA"], start=when + timedelta(days=1), end=when + timedelta(days=2)
    )
    assert client.get_corporate_actions(nothing).data == {}


def test_pages_and_order(user: User, day: str, announced: dict[str, dict[str, Any]]) -> None:
    seen: list[str] = []
    params: dict[str, Any] = {"symbols": "ZQA", "start": day, "end": day, "limit": 5}
    while True:
        page = user.ask("GET", "/v1/corporate-actions", params=params).json()
        rows = [row["id"] for rows in page["corporate_actions"].values() for row in rows]
        assert 0 < len(rows) <= 5
        seen += rows
        if page["next_page_token"] is None:
            break
        params["page_token"] = page["next_page_token"]
    assert len(seen) == len(set(seen)) == len(announced)


@pytest.mark.filterwarnings("ignore:get_corporate_announcement:DeprecationWarning")
def test_the_sdk_reads_announcements(user: User, day: str, announced: dict[str, dict[str, Any]]) -> None:
    trading, when = user.trading(), date.fromisoformat(day)
    wanted = rq.GetCorporateAnnouncementsRequest(
        ca_types=list(en.CorporateActionType), since=when, until=when, symbol="ZQA"
    )
    found = {row.ca_sub_type: row for row in trading.get_corporate_announcements(wanted)}
    assert set(found) == {
        en.CorporateActionSubType.CASH, en.CorporateActionSubType.STOCK, en.CorporateActionSubType.MERGER_COMPLETION,
        en.CorporateActionSubType.SPINOFF, en.CorporateActionSubType.STOCK_SPLIT, en.CorporateActionSubType.UNIT_SPLIT,
        en.CorporateActionSubType.REVERSE_SPLIT,
    }  # fmt: skip
    dividend = found[en.CorporateActionSubType.CASH]
    assert (dividend.cash, dividend.ex_date, dividend.corporate_action_id) == (0.705, when, UUID_ID)
    split = found[en.CorporateActionSubType.STOCK_SPLIT]
    assert (split.new_rate, split.old_rate) == (3.0, 2.0)
    spin = found[en.CorporateActionSubType.SPINOFF]
    assert (spin.target_symbol, spin.new_rate, spin.old_rate) == ("ZQB", 1.0, 3.0)
    assert trading.get_corporate_announcement_by_id(spin.id) == spin
    splits = rq.GetCorporateAnnouncementsRequest(
        ca_types=[en.CorporateActionType.SPLIT], since=when, until=when, date_type=en.CorporateActionDateType.EX_DATE
    )
    assert {row.ca_type for row in trading.get_corporate_announcements(splits)} == {en.CorporateActionType.SPLIT}


@pytest.mark.filterwarnings("ignore:get_corporate_announcement:DeprecationWarning")
def test_what_was_withdrawn_is_shown_to_operators_only(served: Served, user: User, day: str) -> None:
    name = str(uuid.uuid4())
    served.call("corporate_action.announce", id=name, type="stock_dividend", symbol="ZQE", rate="0.1", ex_date=day)
    assert str(user.trading().get_corporate_announcement_by_id(name).id) == name
    assert served.call("corporate_action.withdraw", id=name)["status"] == "withdrawn"
    (row,) = served.call("corporate_action.list", ids=[name])["items"]
    assert (row["status"], row["version"], row["terms"]["rate"]) == ("withdrawn", 2, "0.1")
    with pytest.raises(APIError) as gone:
        user.trading().get_corporate_announcement_by_id(name)
    assert gone.value.status_code == 404


def test_an_operator_types_it(served: Served, day: str, tmp_path: Path) -> None:
    words = ("type=forward_split", "symbol=ZQF", "new_rate=2", "old_rate=1", f"ex_date={day}")
    shown = printed(served.cli("corporate-action", "announce", "id=typed", *words, "--json"))
    assert shown["affects"] == ["ZQF"]
    terms = tmp_path / "terms.json"
    terms.write_text(json.dumps({"prices": {"ZQF": {"cil_price": "10.5"}}}))
    again = served.cli("corporate-action", "announce", "id=typed", *words, "--terms", str(terms), "--json")
    assert printed(again)["version"] == 2
    assert "ZQF" in served.cli("corporate-action", "list", "--symbol", "ZQF", "--since", day).stdout
    assert served.cli("corporate-action", "withdraw", "typed").returncode == 0
    assert served.cli("corporate-action", "withdraw", "nobody").returncode == 1
    assert served.cli("corporate-action", "announce", "id typed").returncode == 2
    assert served.cli("corporate-action", "announce", "id=x", "type=forward_split").returncode == 1


@pytest.mark.parametrize("more", [{"ex_date": "2026-8-8"}, {"new_rate": "0"}, {"symbol": ""}])
def test_the_wire_refuses_what_cannot_be(served: Served, day: str, more: dict[str, Any]) -> None:
    words = {"id": "bad", "type": "forward_split", "symbol": "ZQF", "new_rate": "2", "old_rate": "1", "ex_date": day}
    with pytest.raises(RpcRefusal) as refused:
        served.call("corporate_action.announce", **{**words, **more})
    assert refused.value.reason == "invalid_corporate_action"
    with pytest.raises(RpcRefusal):
        served.call("corporate_action.announce", **words, colour="red")


def test_an_answer_of_alpaca_is_imported_as_it_is_and_again_changes_nothing(
    served: Served, day: str, tmp_path: Path
) -> None:
    answer = {
        "corporate_actions": {
            "forward_splits": [
                {"id": "i-1", "symbol": "ZQG", "cusip": "1", "new_rate": 3, "old_rate": 2, "ex_date": day,
                 "process_date": day, "isin": "US1", "currency": "USD"}
            ],
            "cash_dividends": [
                {"id": "i-2", "symbol": "ZQG", "rate": 0.806971, "special": False, "foreign": True, "ex_date": day,
                 "process_date": day}
            ],
            "partial_calls": [{"id": "i-3", "symbol": "ZQG", "process_date": day}],
        },
        "next_page_token": None,
    }  # fmt: skip
    path = tmp_path / "answer.json"
    path.write_text(json.dumps(answer))
    for _ in range(2):
        done = served.cli("corporate-action", "import", str(path), "--json")
        assert done.returncode == 1  # a partial call is not taken
        items = {row["id"]: row for row in json.loads(done.stdout)["items"]}
        assert items["i-1"]["version"] == items["i-2"]["version"] == 1
        assert items["i-3"]["status"].startswith("refused")
    (row,) = served.call("corporate_action.list", ids=["i-2"])["items"]
    assert row["terms"]["rate"] == "0.806971"
    assert "i-1" in served.cli("corporate-action", "import", str(path)).stdout
    path.write_text("[1]")
    assert served.cli("corporate-action", "import", str(path)).returncode == 2


def test_an_activity_names_its_action_as_the_announcement_does(
    user: User, day: str, announced: dict[str, dict[str, Any]]
) -> None:
    client = CorporateActionsClient(user.key, user.secret, url_override=user.served.url)
    when = date.fromisoformat(day)
    found = client.get_corporate_actions(dr.CorporateActionsRequest(symbols=["ZQA"], start=when, end=when)).data
    for name, (row,) in found.items():
        told = UUID_ID if name == "cash_dividends" else f"seen {name}"
        assert naming_actions([{"id": "1", "ca_id": told}, {"id": "2"}]) == [
            {"id": "1", "ca_id": str(row.id)}, {"id": "2"}
        ]  # fmt: skip
