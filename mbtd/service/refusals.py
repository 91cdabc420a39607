"""From the rules' refusals to the protocol's errors: one mapping for every surface."""

from __future__ import annotations

from typing import Any

from actors.book.rules.matrix import published
from actors.book.rules.reasons import REASONS, Refusal, advice_text, alpaca_text, refuse
from mbtd.rpc.errors import AlpacaError, RpcError, order_refusal


def rpc_error(refusal: Refusal) -> RpcError:
    """The error of a refusal of the rules."""
    reason = REASONS[refusal.reason]
    text = alpaca_text(refusal)
    return order_refusal(
        reason.code,
        reason.name,
        text,
        alpaca=AlpacaError(status=reason.alpaca_status, code=reason.alpaca_code, message=text),
        field=refusal.field or None,
        numbers=dict(refusal.numbers) or None,
        retryable=reason.retryable,
        remedy=advice_text(refusal),
    )


def rule_error(reason: str, field: str = "", /, **numbers: str) -> RpcError:
    """The error of a reason of the rules."""
    return rpc_error(refuse(reason, field, **numbers))


def rules() -> dict[str, Any]:
    """What may be ordered, and every reason for which it is refused: the answer to ``order.rules``."""
    return {
        **published(),
        "reasons": [
            {
                "reason": reason.name,
                "code": reason.code,
                "retryable": reason.retryable,
                "advice": reason.advice,
                "alpaca": {"status": reason.alpaca_status, "code": reason.alpaca_code, "message": reason.alpaca_text},
            }
            for reason in REASONS.values()
        ],
    }
