"""What the operator tells the house in the simulation: corporate actions in time, late, changed and withdrawn."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec

from actors.book.rules.reasons import Refusal
from actors.house.commands import AnnounceAction, WithdrawAction
from actors.inputs import Envelope
from tests.simulation.market import CALENDAR, OPTIONED, SYMBOLS, Market

_KINDS = ("cash_dividend", "cash_dividend", "special", "forward_split", "odd_split", "reverse_split", "stock_dividend",
          "spin_off", "rights_distribution", "stock_merger")  # fmt: skip


def _date(day: int) -> str:
    return f"{day // 10_000}-{day // 100 % 100:02d}-{day % 100:02d}"


class Operators(Market):
    """Commands to the house of :attr:`engine`."""

    def __init__(self, days: int) -> None:
        super().__init__(days)
        self.announced: list[str] = []

    def _action(self, random: Random) -> None:
        """An action is announced, changed or withdrawn; most happen tonight, some have happened."""
        today = CALENDAR.session_at(self.now).trade_date
        following = CALENDAR.next_trading_day(today)
        if self.announced and random.random() < 0.3:
            ca_id = random.choice(self.announced)
            if random.random() < 0.5:
                self._tell(WithdrawAction(id=ca_id))
                return
        else:
            ca_id = f"ca-{len(self.announced)}"
            self.announced.append(ca_id)
        day = random.choice((following, following, CALENDAR.next_trading_day(following), today))
        # Two of a kind on one day are meant here; without the confirmation they are refused as a slip.
        self._tell(msgspec.convert(self._words(random, ca_id, day) | {"confirmed": True}, AnnounceAction))

    def _words(self, random: Random, ca_id: str, day: int) -> dict[str, Any]:
        kind = random.choice(_KINDS)
        symbol = "CCC" if kind == "stock_merger" else random.choice((*SYMBOLS, OPTIONED))
        date = _date(day)
        words: dict[str, Any] = {"id": ca_id, "type": kind, "symbol": symbol, "ex_date": date}
        match kind:
            case "cash_dividend":
                return words | {"rate": random.choice(("0.005", "0.07", "1.25")), "payable_date": date}
            case "special":
                return words | {"type": "cash_dividend", "rate": "1.00", "special": True}
            case "forward_split":
                return words | {"new_rate": random.choice(("2", "10")), "old_rate": "1"}
            case "odd_split":
                return words | {"type": "forward_split", "new_rate": "3", "old_rate": "2"}
            case "reverse_split":
                return words | {"new_rate": "1", "old_rate": random.choice(("8", "12.5"))}
            case "stock_dividend":
                return words | {"rate": "0.05"}
        given = {"id": ca_id, "type": kind, "ex_date": date}
        match kind:
            case "spin_off":
                prices = {"SPUN": {"alloc_price": "20", "cil_price": "20"}}
                return given | {
                    "source_symbol": symbol,
                    "new_symbol": "SPUN",
                    "new_rate": "0.241917",
                    "prices": prices,
                }
            case "rights_distribution":
                return given | {"source_symbol": symbol, "new_symbol": "RTS", "rate": "1", "expiration_date": date}
        return {"id": ca_id, "type": kind, "effective_date": date, "acquiree_symbol": symbol, "acquirer_symbol": "BBB",
                "acquirer_rate": "0.153"}  # fmt: skip

    def _tell(self, command: AnnounceAction | WithdrawAction) -> None:
        refused = self.engine.house_command(command, self.now, Envelope("admin"))
        assert not isinstance(refused, Refusal) or refused.reason == "corporate_action_not_found", refused
