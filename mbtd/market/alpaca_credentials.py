"""The Alpaca key pair: where it comes from, and that it goes nowhere else.

Invariants: keys come from the environment or from systemd credential files, never from a configuration file
or a command line; they appear in no ``repr``, error or log (operations §6). Whatever text comes from outside
(a server's message, an exception of a library) passes :meth:`AlpacaCredentials.scrub` before it is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NoReturn

KEY_VARIABLE: Final = "APCA_API_KEY_ID"
SECRET_VARIABLE: Final = "APCA_API_SECRET_KEY"
KEY_FILE: Final = "alpaca-key-id"
SECRET_FILE: Final = "alpaca-secret-key"
TEXT_CHARACTERS_MAX: Final = 300


class CredentialsMissing(LookupError):
    """No usable key pair; the text says what is missing and where it may be put."""


class AlpacaCredentials:
    """A key pair that does not show itself and cannot be pickled by accident."""

    __slots__ = ("_key", "_secret")

    def __init__(self, key: str, secret: str) -> None:
        if not key or not secret:
            raise CredentialsMissing("an Alpaca key id and its secret key are both needed")
        self._key = key
        self._secret = secret

    def __repr__(self) -> str:
        return "AlpacaCredentials(hidden)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("credentials are not to be copied out of the process")

    def reveal(self) -> tuple[str, str]:
        """Key id and secret, for the one call that sends them."""
        return self._key, self._secret

    def scrub(self, text: str) -> str:
        """Text from outside, without the keys and cut to a length that fits a status line."""
        for hidden in sorted((self._key, self._secret), key=len, reverse=True):
            text = text.replace(hidden, "[hidden]")
        return text[:TEXT_CHARACTERS_MAX]


def load_credentials(environment: Mapping[str, str]) -> AlpacaCredentials:
    """The key pair from systemd credential files, else from the environment.

    Raises :class:`CredentialsMissing`, naming the variable or file that is missing, never a content.
    """
    directory = environment.get("CREDENTIALS_DIRECTORY")
    key = _read(directory, KEY_FILE) or environment.get(KEY_VARIABLE, "").strip()
    secret = _read(directory, SECRET_FILE) or environment.get(SECRET_VARIABLE, "").strip()
    missing = [
        f"{variable} (or the systemd credential {file})"
        for value, variable, file in ((key, KEY_VARIABLE, KEY_FILE), (secret, SECRET_VARIABLE, SECRET_FILE))
        if not value
    ]
    if missing:
        raise CredentialsMissing("set " + " and ".join(missing))
    return AlpacaCredentials(key, secret)


def _read(directory: str | None, name: str) -> str:
    if not directory:
        return ""
    try:
        return (Path(directory) / name).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise CredentialsMissing(f"credential {name} cannot be read: {type(error).__name__}") from None
