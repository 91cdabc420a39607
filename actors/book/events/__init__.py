"""Facts: what happened to one account. The only thing that changes a book is folding one of these.

Invariants: a fact carries every outcome of a rule in it (reservations, lots, cash, effective times, the
profile's hash), so folding calls no rule and a later change of rules never rewrites an old book.
Formats are append-only: a field is added at the end with a default, never moved, renamed or retyped; a tag
is never used twice. Units are those of :mod:`actors.book.units`. Statuses and types are Alpaca's words.
"""

from __future__ import annotations

from actors.book.events.accounts import (
    AccountClosed,
    AccountConfigured,
    AccountCreated,
    AccountQuarantined,
    ActivityBooked,
    CommandRefused,
    MarketGapped,
)
from actors.book.events.actions import (
    ActionEntry,
    ActionLeg,
    ActionPay,
    ActionPrice,
    AppliedAction,
    ContractTerms,
    CorporateAction,
    CorporateActionAnnounced,
    CorporateActionApplied,
    PositionAdjusted,
)
from actors.book.events.base import (
    Closing,
    Fact,
    Lot,
    LotChoice,
    LotUse,
)
from actors.book.events.evidence import (
    Evidence,
)
from actors.book.events.house import (
    AccountRegistered,
    ApiKeyIssued,
    ApiKeyRevoked,
    HouseEvent,
    OfficialPriced,
    SwitchSet,
    TierSet,
    UserErased,
    WatchlistDeleted,
    WatchlistSaved,
    WebSessionClosed,
    WebSessionOpened,
    WebSessionRotated,
)
from actors.book.events.money import (
    AccountReset,
    BorrowRecalled,
    CashViolated,
    DayEnded,
    DayTradeCallChanged,
    DayTradingChanged,
    IntradayLow,
    MarginChanged,
    SettingsChanged,
    SharesLocated,
    TradeBooked,
)
from actors.book.events.options import (
    AssignmentDrawn,
    ExpiryReviewed,
    OptionAssigned,
    OptionAwaiting,
    OptionInstructed,
    OptionWarned,
)
from actors.book.events.orders import (
    AcceptedLeg,
    LotsAssigned,
    OrderAccepted,
    OrderActivated,
    OrderAdjusted,
    OrderCanceled,
    OrderCancelPending,
    OrderCancelRejected,
    OrderExpired,
    OrderFilled,
    OrderLegFilled,
    OrderRejected,
    OrderReplaced,
    OrderReplacePending,
    OrderReplaceRejected,
    OrderTriggered,
    PositionChanged,
)
from actors.book.events.structures import (
    HeldLeg,
    LegSeen,
    StructureChanged,
    StructureExit,
    StructureExitSet,
    StructureExitTriggered,
)

Event = (
    AccountCreated
    | AccountConfigured
    | AccountClosed
    | AccountQuarantined
    | CommandRefused
    | ActivityBooked
    | OrderRejected
    | OrderAccepted
    | OrderActivated
    | OrderTriggered
    | OrderFilled
    | OrderLegFilled
    | PositionChanged
    | LotsAssigned
    | OptionInstructed
    | OrderCancelPending
    | OrderCanceled
    | OrderCancelRejected
    | OrderReplacePending
    | OrderReplaced
    | OrderReplaceRejected
    | OrderExpired
    | OrderAdjusted
    | MarketGapped
    | AccountRegistered
    | TierSet
    | ApiKeyIssued
    | TradeBooked
    | CashViolated
    | DayEnded
    | MarginChanged
    | DayTradeCallChanged
    | DayTradingChanged
    | IntradayLow
    | SharesLocated
    | BorrowRecalled
    | AccountReset
    | SettingsChanged
    | ExpiryReviewed
    | OptionWarned
    | OptionAwaiting
    | AssignmentDrawn
    | OptionAssigned
    | OfficialPriced
    | SwitchSet
    | UserErased
    | ApiKeyRevoked
    | WebSessionOpened
    | WebSessionRotated
    | WebSessionClosed
    | WatchlistSaved
    | WatchlistDeleted
    | StructureChanged
    | StructureExitSet
    | StructureExitTriggered
    | CorporateActionAnnounced
    | CorporateActionApplied
    | PositionAdjusted
)

__all__ = [
    "AcceptedLeg",
    "AccountClosed",
    "AccountConfigured",
    "AccountCreated",
    "AccountQuarantined",
    "AccountRegistered",
    "AccountReset",
    "ActionEntry",
    "ActionLeg",
    "ActionPay",
    "ActionPrice",
    "ActivityBooked",
    "ApiKeyIssued",
    "ApiKeyRevoked",
    "AppliedAction",
    "AssignmentDrawn",
    "BorrowRecalled",
    "CashViolated",
    "Closing",
    "CommandRefused",
    "ContractTerms",
    "CorporateAction",
    "CorporateActionAnnounced",
    "CorporateActionApplied",
    "DayEnded",
    "DayTradeCallChanged",
    "DayTradingChanged",
    "Event",
    "Evidence",
    "ExpiryReviewed",
    "Fact",
    "HeldLeg",
    "HouseEvent",
    "IntradayLow",
    "LegSeen",
    "Lot",
    "LotChoice",
    "LotUse",
    "LotsAssigned",
    "MarginChanged",
    "MarketGapped",
    "OfficialPriced",
    "OptionAssigned",
    "OptionAwaiting",
    "OptionInstructed",
    "OptionWarned",
    "OrderAccepted",
    "OrderActivated",
    "OrderAdjusted",
    "OrderCancelPending",
    "OrderCancelRejected",
    "OrderCanceled",
    "OrderExpired",
    "OrderFilled",
    "OrderLegFilled",
    "OrderRejected",
    "OrderReplacePending",
    "OrderReplaceRejected",
    "OrderReplaced",
    "OrderTriggered",
    "PositionAdjusted",
    "PositionChanged",
    "SettingsChanged",
    "SharesLocated",
    "StructureChanged",
    "StructureExit",
    "StructureExitSet",
    "StructureExitTriggered",
    "SwitchSet",
    "TierSet",
    "TradeBooked",
    "UserErased",
    "WatchlistDeleted",
    "WatchlistSaved",
    "WebSessionClosed",
    "WebSessionOpened",
    "WebSessionRotated",
]
