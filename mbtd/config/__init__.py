"""Settings: model, layers (defaults < ``config.toml`` < environment < flags) and an operator's view."""

from mbtd.config.layers import ConfigError, Loaded, Problem
from mbtd.config.model import (
    BUILT_IN_PROFILES,
    Config,
    ConnectionSettings,
    Engine,
    Log,
    Market,
    Server,
    Storage,
    Switches,
    Synthetic,
)
from mbtd.config.report import (
    Row,
    changes,
    check_config,
    environment_switches,
    find_config,
    is_reloadable,
    main,
    render,
)

__all__ = [
    "BUILT_IN_PROFILES",
    "Config",
    "ConfigError",
    "ConnectionSettings",
    "Engine",
    "Loaded",
    "Log",
    "Market",
    "Problem",
    "Row",
    "Server",
    "Storage",
    "Switches",
    "Synthetic",
    "changes",
    "check_config",
    "environment_switches",
    "find_config",
    "is_reloadable",
    "main",
    "render",
]
