"""Settings of the engine, table `[engine]` of the config file, with `[engine.tuning]` inside."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from reranker.hub.catalog import DEFAULT_BI_ENCODER, DEFAULT_CROSS_ENCODER
from reranker.settings.config_file import read_config
from reranker.settings.resolve import check_tables, resolve
from reranker.settings.section import Section

OTHER_SECTIONS = ("server",)  # read elsewhere: one file serves the library and the server


class Tuning(Section):
    """Knobs that few need: what they leave open is chosen, or measured when a model is warmed."""

    renamed: ClassVar[Mapping[str, str]] = {
        "token_budget": "max_batch_tokens",
        "measure": "autotune",
        "attention": "attn_implementation",
        "weights": "cpu_weight_layout",
        "exports": "openvino_cache_dir",
    }

    threads: int = Field(0, ge=0, description="CPU threads; 0: what affinity and cgroup allow")
    max_batch_tokens: int = Field(
        0, ge=0, description="most padded tokens in a batch; 0: chosen for the device"
    )
    autotune: bool = Field(
        True, description="measure what is left open when a model is warmed, for about a second"
    )
    attn_implementation: Literal["auto", "sdpa", "eager"] = Field(
        "auto", description="attention kernel of torch; auto: the faster one of equal scores"
    )
    cpu_weight_layout: Literal["auto", "packed", "plain"] = Field(
        "auto",
        description="layout of torch's weights on a CPU; auto: packed unless measured to be slower",
    )
    openvino_cache_dir: Path | None = Field(
        None, description="folder of models exported for OpenVINO; by default ~/.cache/reranker"
    )


class Settings(Section):
    """Settings of the engine."""

    model: str = Field(DEFAULT_BI_ENCODER, description="bi-encoder used where a request names none")
    model_cross: str = Field(
        DEFAULT_CROSS_ENCODER, description="cross-encoder used where a request names none"
    )
    offline: bool = Field(False, description="never download; use what is on this machine")
    models_on_request: Literal["catalog", "configured", "any"] = Field(
        "catalog", description="which models a request may load"
    )
    device: str = Field("auto", description="cpu, cuda, cuda:1, mps")
    dtype: Literal["auto", "float32", "bfloat16", "float16", "int8"] = Field(
        "auto",
        description="of weights and activations; auto: bfloat16 where its matmuls are faster; "
        "int8 needs OpenVINO",
    )
    backend: Literal["auto", "torch", "openvino"] = Field(
        "auto", description="auto: the faster one, if the scores are the same"
    )
    cache_mb: int = Field(256, ge=0, description="memory for results, per model; 0 keeps none")
    cache_redis_url: str | None = Field(
        None, description="keep results in Redis, too, shared by several servers"
    )
    cache_redis_hours: int = Field(24, ge=1, description="how long results are kept there")
    profile: str | None = Field(None, description="file with weights of `best` fitted to own data")
    tuning: Tuning = Field(default_factory=Tuning, exclude=True)
    bi_encoders: Mapping[str, str | Mapping[str, Any]] = Field(default_factory=dict, exclude=True)
    cross_encoders: Mapping[str, str | Mapping[str, Any]] = Field(
        default_factory=dict, exclude=True
    )

    @model_validator(mode="after")
    def _int8_has_its_backend(self) -> Self:
        if self.dtype == "int8" and self.backend == "torch":
            raise ValueError("dtype int8 needs the openvino backend")
        return self

    @classmethod
    def load(cls, file: str | os.PathLike[str] | None = None, **arguments: object) -> Settings:
        """Resolve the engine's settings from arguments, environment and file.

        Args:
            file: TOML; the one that RERANKER_CONFIG names if None.
            arguments: settings by name, those of `[engine.tuning]` among them.

        Raises:
            SettingsError: a setting is unknown or has a value that cannot be used.
        """
        config = read_config(file)
        check_tables(config, ("engine", *OTHER_SECTIONS))
        return resolve(cls, "engine", config, arguments).value
