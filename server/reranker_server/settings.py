"""Settings of the server, table `[server]` of the config file."""

from __future__ import annotations

from pydantic import Field

from reranker.settings import Section


class ServerSettings(Section):
    """What the server listens on, whom it lets in, and its limits."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 picks a free one")
    api_keys: tuple[str, ...] = Field((), description="keys that callers must send; none: open")
    preload: tuple[str, ...] | None = Field(
        None, description="models loaded before ready; by default the engine's pair"
    )
    max_concurrent: int = Field(16, ge=1, description="requests worked on at the same time")
    max_queue: int = Field(256, ge=0, description="requests that may wait; beyond it 429")
    max_body_mb: float = Field(64, gt=0, description="largest request body, in MiB; beyond it 413")
    max_documents: int = Field(
        10_000, ge=1, description="most documents in a request; beyond it 413"
    )
    timeout_ms: int = Field(60_000, ge=1, description="deadline of a request that names none")
    max_timeout_ms: int = Field(600_000, ge=1, description="longest deadline a request may name")
    load_patience_ms: int = Field(
        5_000, ge=0, description="how long a request waits for a model's load before 503"
    )
    shutdown_ms: int = Field(30_000, ge=0, description="how long running requests may take to end")
    log_level: str = Field("info", description="debug, info, warning or error")
