"""Settings of the server, table `[server]` of the config file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from reranker.settings import Section


class ServerSettings(Section):
    """Address, keys and limits of the server."""

    renamed: ClassVar[Mapping[str, str]] = {
        "data_copy": "cohere_include_data",
        "load_patience_ms": "model_load_timeout_ms",
        "open_metrics": "metrics_public",
    }

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 picks a free one")
    api_keys: tuple[str, ...] = Field((), description="keys that callers must send; none: open")
    keys_file: Path | None = Field(
        None, description="keys with limits of their own, TOML or JSON; read again when it changes"
    )
    budgets_file: Path | None = Field(
        None, description="SQLite file of the tokens spent; by default beside the keys file"
    )
    redis_url: str | None = Field(
        None, description="keep rates and budgets in Redis, shared by several servers"
    )
    preload: tuple[str, ...] | None = Field(
        None, description="models loaded before ready; by default the engine's pair"
    )
    max_concurrent: int = Field(16, ge=1, description="requests worked on at the same time")
    max_queue: int = Field(256, ge=0, description="requests that may wait; beyond it 429")
    max_queue_tokens: int = Field(
        4_000_000, ge=1, description="estimated tokens that may wait; beyond it 429"
    )
    max_queue_ms: int = Field(
        10_000, ge=1, description="how long what waits may be expected to take; beyond it 429"
    )
    max_buffered_mb: float = Field(
        512, gt=0, description="all request bodies in memory together, in MiB; beyond it 429"
    )
    body_timeout_ms: int = Field(
        30_000,
        ge=1,
        description="how long a body may take to arrive (beyond it 408), or stay unread",
    )
    header_timeout_ms: int = Field(
        10_000, ge=1, description="how long a connection may take to send a request's headers"
    )
    max_body_mb: float = Field(64, gt=0, description="largest request body, in MiB; beyond it 413")
    max_documents: int = Field(
        10_000, ge=1, description="most documents in a request; beyond it 413"
    )
    unknown_models: Literal["refuse", "default"] = Field(
        "refuse",
        description="outside v3, a model id that is not known: refuse it with 404, or serve it "
        "with the engine's own models",
    )
    cohere_include_data: bool = Field(
        True, description="whether responses in Cohere's shape repeat their results as `data`"
    )
    timeout_ms: int = Field(60_000, ge=1, description="deadline of a request that names none")
    max_timeout_ms: int = Field(600_000, ge=1, description="longest deadline a request may name")
    model_load_timeout_ms: int = Field(
        5_000, ge=0, description="how long a request waits for a model to load before 503"
    )
    shutdown_ms: int = Field(30_000, ge=0, description="how long running requests may take to end")
    log_level: str = Field("info", description="debug, info, warning or error")
    log_format: Literal["text", "json"] = Field(
        "text", description="text, or json: one object a line"
    )
    metrics_public: bool = Field(True, description="whether /metrics is served without a key")
    cors_origins: tuple[str, ...] = Field(
        (), description="origins whose pages may call from a browser; none by default"
    )
    traces: bool = Field(
        False, description="send OpenTelemetry traces to where the OTEL_* variables say"
    )
