"""Names and draws derived from an account's seed.

Invariants: an id or a draw depends only on its arguments, never on earlier draws, other accounts, restarts or
the clock (fill model §5). Ids are texts in UUID form (version 8, "custom").
"""

from __future__ import annotations

from hashlib import blake2b

MODEL_VERSION = b"fm1"
_PERSON_IDS = b"mbtd-ids"


def _uuid(hexed: str) -> str:
    return f"{hexed[:8]}-{hexed[8:12]}-8{hexed[13:16]}-a{hexed[17:20]}-{hexed[20:32]}"


def derive_uuid(seed: bytes, kind: bytes, number: int) -> str:
    """A UUID text for the ``number``-th thing of ``kind`` under ``seed``."""
    return _uuid(blake2b(kind + number.to_bytes(8, "big"), digest_size=16, key=seed, person=_PERSON_IDS).hexdigest())


def derive_order_ids(seed: bytes, epoch: int, order_no: int, given: str | None = None) -> tuple[str, str]:
    """Order id, and the client order id: the given one, or what is used when the client gives none."""
    data = b"order" + epoch.to_bytes(4, "big") + order_no.to_bytes(8, "big")
    digest = blake2b(data, digest_size=32, key=seed, person=_PERSON_IDS).hexdigest()
    return _uuid(digest), given or _uuid(digest[32:])


def derive_fill_id(order_id: str, fill_no: int) -> str:
    """A fill's id: hash of its order's id and its ordinal (fill model §17)."""
    data = order_id.encode() + b"/" + str(fill_no).encode()
    return _uuid(blake2b(data, digest_size=16, person=_PERSON_IDS).hexdigest())


def derive_structure_id(order_id: str) -> str:
    """A structure's id: hash of the id of the order that opened it."""
    return _uuid(blake2b(order_id.encode() + b"/structure", digest_size=16, person=_PERSON_IDS).hexdigest())


def derive_account_id(partition_seed: bytes, account_no: int) -> str:
    """The id of the ``account_no``-th account of a partition."""
    return derive_uuid(partition_seed, b"account", account_no)


def derive_account_seed(run_seed: bytes, name: str) -> bytes:
    """Account seed under ``mbtd replay`` (contracts §2)."""
    return blake2b(name.encode(), digest_size=32, key=run_seed, person=b"mbtd-acct").digest()


def client_key(client_order_id: str) -> int:
    """64 bits that stand for a client order id in an account's memory of the last 30 days."""
    return int.from_bytes(blake2b(client_order_id.encode(), digest_size=8).digest(), "big")


def draw_u64(
    seed: bytes, epoch: int, profile_hash: bytes, order_id: str, purpose: bytes, counter: int | str = 0
) -> int:
    """The draw of fill model §5: 64 bits for one purpose and counter of one order.

    A draw that belongs to no order has an empty id and a counter that names its subject (§15).
    """
    data = b"\x1f".join(
        (
            epoch.to_bytes(4, "big"),
            MODEL_VERSION,
            profile_hash,
            order_id.encode(),
            purpose,
            str(counter).encode(),
        )
    )
    return int.from_bytes(blake2b(data, digest_size=8, key=seed).digest(), "big")


def chance(draw: int, ppm: int) -> bool:
    """Whether a draw falls under ``ppm`` parts per million."""
    return draw % 1_000_000 < ppm


def uniform(draw: int, low: int, high: int) -> int:
    """A whole number from ``low`` to ``high``, both included."""
    return low + draw % (high - low + 1)
