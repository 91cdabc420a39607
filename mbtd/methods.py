"""The commands by their method names, and the reading of their parameters.

Invariant: what cannot be read is refused by name before anything is sequenced; the socket and the replay script
use this one table.
"""

from __future__ import annotations

from typing import Any

import msgspec

from actors.commands import (
    AnyAction,
    AssignLots,
    CancelAll,
    CancelOrder,
    ClearPatternDayTrader,
    ClearStructureExit,
    CloseAccount,
    CloseAllPositions,
    ClosePosition,
    CloseStructure,
    ConfigureAccount,
    CreateAccount,
    Deposit,
    DoNotExercisePosition,
    ExercisePosition,
    LocateShares,
    PlaceOrder,
    RecallBorrow,
    ReplaceOrder,
    ResetAccount,
    RollStructure,
    SetStructureExit,
    Withdraw,
)
from actors.house.commands import AnnounceAction, HouseCommand, WithdrawAction

COMMANDS: dict[str, type[Any]] = {
    "account.create": CreateAccount,
    "account.configure": ConfigureAccount,
    "account.deposit": Deposit,
    "account.withdraw": Withdraw,
    "account.close": CloseAccount,
    "account.reset": ResetAccount,
    "account.locate": LocateShares,
    "account.recall_borrow": RecallBorrow,
    "account.clear_pattern_day_trader": ClearPatternDayTrader,
    "order.place": PlaceOrder,
    "order.replace": ReplaceOrder,
    "order.cancel": CancelOrder,
    "order.cancel_all": CancelAll,
    "position.close": ClosePosition,
    "position.close_all": CloseAllPositions,
    "lot.assign": AssignLots,
    "position.exercise": ExercisePosition,
    "position.do_not_exercise": DoNotExercisePosition,
    "structure.close": CloseStructure,
    "structure.roll": RollStructure,
    "structure.exit_set": SetStructureExit,
    "structure.exit_clear": ClearStructureExit,
}
"""Method name to the typed parameters."""

PREVIEWS: dict[str, type[Any]] = {
    "order.preview": PlaceOrder,
    "structure.close_preview": CloseStructure,
    "structure.roll_preview": RollStructure,
}
"""Methods that say what a command would do, with its parameters."""

DECODERS: dict[str, msgspec.json.Decoder[Any]] = {name: msgspec.json.Decoder(kind) for name, kind in COMMANDS.items()}


HOUSE_COMMANDS: dict[str, type[Any]] = {
    "corporate_action.announce": AnnounceAction,
    "corporate_action.withdraw": WithdrawAction,
}
"""What a replay script can tell the house."""


class BadParams(ValueError):
    """Parameters that cannot be read: the reason and one sentence."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text


def read_house(method: str, params: dict[str, Any]) -> HouseCommand:
    """A command of a replay script to the house. Raises :class:`BadParams`."""
    try:
        command: HouseCommand = msgspec.convert(params, HOUSE_COMMANDS[method])
    except (msgspec.ValidationError, RecursionError) as error:
        raise BadParams("invalid_params", str(error)) from None
    return command


def read_action(method: str, params: dict[str, Any], account: str) -> AnyAction:
    """A command of a replay script, for the account named beside it. Raises :class:`BadParams`."""
    kind = COMMANDS.get(method)
    if kind is None:
        raise BadParams("method_not_found", f"there is no command {method[:64]!r}")
    if "do" in params:
        raise BadParams("invalid_params", "Object contains unknown field `do`")
    given = dict(params)
    given.setdefault("account", account)
    if kind is CreateAccount:
        given.setdefault("name", account)
    try:
        action: AnyAction = msgspec.convert(given, kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise BadParams("invalid_params", str(error)) from None
    return action
