"""Replays of a recorded chain with a script of structures: the same bytes, whatever kills it, and exact legs.

``python -m tests.crash replay --options --recording … --kills N`` is the long version.
"""

from __future__ import annotations

import json
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.crash.option_scripts import KINDS, OptionWriter
from tests.crash.replay_loop import RECORDINGS, ReplayLoop
from tests.options_orders.chains import Chain

TWX = RECORDINGS / "20140605-twx-options.ndjson.gz"

pytestmark = pytest.mark.skipif(not TWX.exists(), reason="no recordings here")


@pytest.fixture(scope="module")
def chain() -> Chain:
    return Chain(TWX)


def test_a_script_has_every_kind_of_structure_and_depends_on_its_seed_alone(chain: Chain) -> None:
    writer = OptionWriter(chain, 1, 300, 20)
    text = writer.write()
    assert sum(writer.counts.values()) >= 300
    assert set(writer.counts) == {*KINDS, "roll", "close"}
    assert min(writer.counts.values()) >= 20
    assert OptionWriter(chain, 1, 300, 20).write() == text
    assert OptionWriter(chain, 2, 300, 20).write() != text
    moments = [json.loads(line)["at"] for line in text.splitlines()]
    assert moments == sorted(moments)


def test_a_killed_replay_of_structures_finishes_with_the_same_bytes_and_exact_legs(
    tmp_path: Path, chain: Chain
) -> None:
    text = OptionWriter(chain, 20140605, 70, 4).write()
    loop = ReplayLoop(tmp_path, TWX, 20140605, text=text)
    output, _ = loop.undisturbed()
    loop.run(1)
    lines = [json.loads(line) for line in output.splitlines()]
    assert not [line for line in lines if line["event"] == "account.quarantined"]
    units, legs = _fills(lines)
    assert len(units) > 10
    for key, (qty, price, symbols) in units.items():
        assert sum(net for net, _ in legs[key]) == qty * price
        filled = {symbol for _, symbol in legs[key]}
        assert len(filled) == len(symbols)
    assert any("TWX" in {symbol for _, symbol in found} for found in legs.values()), "no stock leg was traded"


def _fills(lines: list[dict[str, Any]]) -> tuple[dict[Any, Any], dict[Any, list[tuple[Decimal, str]]]]:
    """Units filled by (order, seq of the fill): quantity, net, symbols; and what each leg moved, in lots."""
    units: dict[Any, Any] = {}
    legs: dict[Any, list[tuple[Decimal, str]]] = defaultdict(list)
    filled_before: dict[str, Decimal] = defaultdict(Decimal)
    key: Any = None
    for line in lines:
        if line["event"] in ("order.filled", "order.partially_filled"):
            order_id, total = line["order_id"], Decimal(line["filled_qty"])
            qty, filled_before[order_id] = total - filled_before[order_id], total
            if line["symbol"]:
                continue
            key = (order_id, line["seq"])
            units[key] = (qty, Decimal(line["price"]), set())
        elif line["event"] == "order.leg_filled":
            lots = Decimal(line["qty"]) / (100 if line["symbol"] == "TWX" else 1)
            signed = lots if line["side"] == "buy" else -lots
            legs[key].append((signed * Decimal(line["price"]), line["symbol"]))
            units[key][2].add(line["symbol"])
    return units, legs
