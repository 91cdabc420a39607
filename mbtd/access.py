"""Who may do what, and how much, from the ``[server]`` settings."""

from __future__ import annotations

import grp
from typing import Any

from mbtd.rpc.limits import ConnectionLimits, ServerLimits
from mbtd.rpc.server import Access, ListenError
from mbtd.rpc.session import Role


def access_of(settings: Any) -> Access:
    """Roles by uid and group. Raises ``ListenError`` for a group that this host does not know."""
    user_accounts = {int(name): accounts for name, accounts in settings.traders.items() if name.isdigit()}
    group_accounts = {_gid(name): accounts for name, accounts in settings.traders.items() if not name.isdigit()}
    users: dict[int, Role] = dict.fromkeys(settings.viewer_uids, "viewer")
    users |= dict.fromkeys(user_accounts, "trader")
    users |= dict.fromkeys(settings.service_uids, "service")
    users |= dict.fromkeys(settings.operator_uids, "operator")
    groups: dict[int, Role] = {_gid(name): "viewer" for name in settings.viewer_groups}
    groups |= dict.fromkeys(group_accounts, "trader")
    groups |= {_gid(name): "service" for name in settings.service_groups}
    groups |= {_gid(name): "operator" for name in settings.operator_groups}
    return Access(users=users, groups=groups, user_accounts=user_accounts, group_accounts=group_accounts)


def _gid(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise ListenError(f"server: there is no group {name!r} on this host") from None


def limits_of(settings: Any) -> ServerLimits:
    """Bounds of all connections."""
    return ServerLimits(
        connections_max=settings.connections_max,
        connections_per_uid_max=settings.connections_per_uid_max,
        client=_connection_limits(settings.client),
        service=_connection_limits(settings.service),
    )


def _connection_limits(settings: Any) -> ConnectionLimits:
    return ConnectionLimits(
        **{name: getattr(settings, name) for name in ConnectionLimits.__struct_fields__ if hasattr(settings, name)}
    )
