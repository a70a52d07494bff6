"""A method is a pipeline of stages; here are the stages, fusion and the registry of methods."""

from reranker.pipeline.pipeline import (
    Pipeline,
    Stage,
    StageOutput,
    cosine_scale,
    sigmoid_scale,
)

__all__ = ["Pipeline", "Stage", "StageOutput", "cosine_scale", "sigmoid_scale"]
