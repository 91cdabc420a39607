"""What market data a tier may see: the one place that REST, streams and the socket ask (architecture §6).

Free: the delayed lane. Pro: real time. Pro+: real time and the archive of earlier days. The lane decides what is
shown; in which lane an account is matched is the deployment's setting ``engine.fills``.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

LaneName = Literal["real_time", "delayed"]


class Entitlement(Struct, frozen=True, gc=False):
    """What one user may see."""

    lane: LaneName
    archive: bool
    """Quotes and prints of earlier trade dates."""


EVERYTHING: Final = Entitlement("real_time", True)
_OF: Final = {
    "free": Entitlement("delayed", False),
    "pro": Entitlement("real_time", False),
    "pro_plus": EVERYTHING,
}


def entitlement_of(tier: str) -> Entitlement:
    """A tier's entitlement; the least for a word that is not known."""
    return _OF.get(tier, _OF["free"])
