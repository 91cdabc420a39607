"""A daemon on the synthetic market, for the tests through the socket and the command line."""

from tests.service.conftest import account, client, daemon

__all__ = ["account", "client", "daemon"]
