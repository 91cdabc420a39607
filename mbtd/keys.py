"""API keys: drawn, shown once, and stored only as a salted hash.

Invariants: a secret has 256 bits; what is stored cannot be turned back into it; comparison takes constant time.
Rule source: architecture §11.
"""

from __future__ import annotations

import base64
import hmac
from hashlib import sha256

from msgspec import Struct

from mbtd.entropy import Entropy
from mbtd.secret import Secret


class IssuedKey(Struct, frozen=True):
    """A new key: the id and hash are stored, the secret is shown once."""

    key_id: str
    secret: Secret
    salt: bytes
    secret_hash: bytes


def hash_secret(salt: bytes, secret: str) -> bytes:
    """What is stored of a secret."""
    return sha256(salt + secret.encode()).digest()


def matches(salt: bytes, stored: bytes, secret: str) -> bool:
    """Whether a secret is the one that was issued."""
    return hmac.compare_digest(stored, hash_secret(salt, secret))


def issue_key(entropy: Entropy) -> IssuedKey:
    """Draw a new key."""
    key_id = "PK" + base64.b32encode(entropy.draw(15)).decode().rstrip("=")
    secret = base64.urlsafe_b64encode(entropy.draw(32)).decode().rstrip("=")
    salt = entropy.draw(16)
    return IssuedKey(key_id, Secret(secret), salt, hash_secret(salt, secret))
