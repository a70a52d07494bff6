"""Settings of the engine, and how any table of the config file is resolved."""

from reranker.settings.config_file import Config, read_config
from reranker.settings.engine import Settings, Tuning
from reranker.settings.resolve import Resolved, check_known, resolve
from reranker.settings.section import Section

__all__ = [
    "Config",
    "Resolved",
    "Section",
    "Settings",
    "Tuning",
    "check_known",
    "read_config",
    "resolve",
]
