"""What the house does with a command: open accounts.

Invariant: a refusal leaves only an audit event of the house.
"""

from __future__ import annotations

from msgspec import Struct

from actors.book import events as e
from actors.book.ids import derive_account_id
from actors.book.life import MARGIN_PROFILES
from actors.book.rules.matching.profiles import Profiles
from actors.book.rules.reasons import Refusal, refuse
from actors.book.units import MONEY_PER_DOLLAR, BadNumber, parse_money
from actors.commands import CreateAccount
from actors.house.state import House
from actors.inputs import Issued

NAME_MAX = 64
CASH_MAX_MONEY = 1_000_000_000 * MONEY_PER_DOLLAR


class Defaults(Struct, frozen=True):
    """What a new account gets when the command does not say."""

    profile: str = "realistic"
    margin_profile: str = "house"


class Opened(Struct, frozen=True):
    """A new account: its first event and the money it starts with."""

    account_no: int
    house_events: tuple[e.HouseEvent, ...]
    created: e.AccountCreated
    cash: int


def open_account(
    house: House, action: CreateAccount, issued: Issued, partition_seed: bytes, profiles: Profiles, defaults: Defaults
) -> Opened | Refusal:
    """The events that open an account, or the refusal."""
    name = action.name
    if not 0 < len(name) <= NAME_MAX or not name.isprintable() or name != name.strip():
        return refuse("invalid_name", "name")
    if name in house.names or house.find(name) is not None:
        return refuse("account_name_taken", "name")
    user_id = action.user_id or name
    if len(user_id) > 128 or not user_id.isprintable():
        return refuse("invalid_name", "user_id")
    try:
        cash = parse_money(action.cash)
    except BadNumber:
        cash = -1
    if not 0 <= cash <= CASH_MAX_MONEY:
        return refuse("invalid_amount", "cash")
    profile = action.profile or defaults.profile
    if profiles.get(profile) is None:
        return refuse("invalid_setting", "profile")
    margin_profile = action.margin_profile or defaults.margin_profile
    if margin_profile not in MARGIN_PROFILES:
        return refuse("invalid_setting", "margin_profile")
    if not 0 <= action.options_level <= 4:
        return refuse("invalid_setting", "options_level")
    account_no = house.next_account_no
    account_id = derive_account_id(partition_seed, account_no)
    house_events: list[e.HouseEvent] = [e.AccountRegistered(account_no, account_id, name, user_id)]
    if user_id not in house.users:
        house_events.append(e.TierSet(user_id, action.tier))
    if issued.key_id:
        house_events.append(e.ApiKeyIssued(account_no, issued.key_id, issued.salt, issued.secret_hash))
    created = e.AccountCreated(
        account_no, account_id, issued.seed, action.type, 0, action.options_level, profile, margin_profile, user_id
    )
    return Opened(account_no, tuple(house_events), created, cash)
