"""BERT layers over the real tokens of a batch: padding is never computed.

Linear layers and norms work token by token, so they take the real tokens as one long row of rows;
only attention needs to know which text a token is of. Short texts of unlike lengths gain most.

With packed weights all layers run as one compiled function, without Python's lock: torch releases
the lock in every operation and has to get it back afterwards. A layer has some twenty, most of
them short, so batches side by side, and the server around them, would wait for each other more
than they compute.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from reranker.backends.cpu_bert.attention import attention, first
from reranker.backends.cpu_bert.layout import Layout
from reranker.backends.cpu_bert.prepacked_linear import PrepackedLinear

log = logging.getLogger(__name__)

# The operator that `PrepackedLinear` calls, as a graph, since TorchScript's own language has no
# type for its empty list of scalars.
_LINEAR = """
graph(%rows : Tensor, %weight : Tensor, %bias : Tensor?, %gelu : bool):
  %none : str = prim::Constant[value="none"]()
  %name : str = prim::Constant[value="gelu"]()
  %no_kind : str = prim::Constant[value=""]()
  %no_scalars : Scalar?[] = prim::ListConstruct()
  %result : Tensor = prim::If(%gelu)
    block0():
      %a : Tensor = mkldnn::_linear_pointwise(%rows, %weight, %bias, %name, %no_scalars, %none)
      -> (%a)
    block1():
      %b : Tensor = mkldnn::_linear_pointwise(%rows, %weight, %bias, %none, %no_scalars, %no_kind)
      -> (%b)
  return (%result)
"""


def run_layers(
    layers: Iterable[nn.Module],
    rows: torch.Tensor,
    layout: Layout,
    mask: torch.Tensor | None = None,
    *,
    first_only: bool = False,
    cross_text_bias: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the (t, width) output of consecutive BERT layers, without dropout.

    Args:
        layers: of transformers' BERT, or of the same structure, all of one shape.
        rows: states of the computed tokens before the first layer.
        layout: where they stand.
        mask: (texts or 1, heads or 1, length or 1, length) over the padded batch, True where a
            token is attended to, or added to the attention logits. None attends to all real
            tokens of the same text.
        first_only: whether to return the states of the texts' first tokens alone, (texts, width):
            in the last layer only keys and values are computed for all tokens, a sixth of the
            matmuls. The mask must then be the same for all tokens of a text.
        cross_text_bias: (layers, heads), added to the logits of the attention between query and
            document of each pair; only where the layout has both `lengths` and `query_lengths`.
    """
    blocks: list[Any] = list(layers)
    own = blocks[0].attention.self
    how = (layout, mask, own.num_attention_heads, own.config._attn_implementation != "eager")
    weights = [packed_weights(block) for block in blocks]
    if None not in weights and (run := compiled()) is not None:
        return run(rows, weights, blocks[0].output.LayerNorm.eps, *how, first_only, cross_text_bias)
    for number, block in enumerate(blocks):
        last = first_only and block is blocks[-1]
        bias = None if cross_text_bias is None else cross_text_bias[number]
        own, out = block.attention.self, block.attention.output
        queries = first(rows, layout) if last else rows
        mixed = attention(own.query(queries), own.key(rows), own.value(rows), *how, last, bias)
        attended = out.LayerNorm(out.dense(mixed) + queries)
        inner = block.output.dense(block.intermediate(attended))
        rows = block.output.LayerNorm(inner + attended)
    return rows


def packed_weights(layer: Any) -> list[torch.Tensor] | None:
    """Return the weights and biases of a layer's parts in the order in which they are used.

    None for a layer that is not packed as a whole, with a GELU.
    """
    last = layer.output.dense
    if not isinstance(last, PrepackedLinear):
        return None
    if last.of_layer is None:
        last.of_layer = _look_up(layer)
    return last.of_layer


def _look_up(layer: Any) -> list[torch.Tensor] | None:
    own, out, inner = layer.attention.self, layer.attention.output, layer.intermediate.dense
    projections = (own.query, own.key, own.value, out.dense)
    linears = (*projections, inner, layer.output.dense)
    if not all(isinstance(part, PrepackedLinear) for part in linears) or inner.gelu is None:
        return None
    parts = (*projections, out.LayerNorm, inner, layer.output.dense, layer.output.LayerNorm)
    return [
        each
        for part in parts
        for each in (part.packed if isinstance(part, PrepackedLinear) else part.weight, part.bias)
    ]


@cache
def compiled() -> Callable[..., torch.Tensor] | None:
    """Return what runs layers with packed weights; None where torch does not compile it.

    TorchScript is deprecated, and this is the only file that uses it. Without it W1 takes 2 to 3 %
    longer and small batches side by side up to 9 % (float32 and bfloat16, two cores).

    It takes rows, the packed weights of each layer, the epsilon of the norms, and the rest as
    `attention` does.
    """
    try:
        linear = torch._C._create_function_from_graph("linear", torch._C.parse_ir(_LINEAR))

        def layers(
            rows: torch.Tensor,
            weights: list[list[torch.Tensor]],
            eps: float,
            layout: Layout,
            mask: torch.Tensor | None,
            heads: int,
            fused: bool,
            first_only: bool,
            cross_text_bias: torch.Tensor | None,
        ) -> torch.Tensor:
            width = [rows.size(1)]
            for number, w in enumerate(weights):
                bias = None if cross_text_bias is None else cross_text_bias[number]
                last = first_only and number + 1 == len(weights)
                queries = first(rows, layout) if last else rows
                query = linear(queries, w[0], w[1], False)
                key = linear(rows, w[2], w[3], False)
                value = linear(rows, w[4], w[5], False)
                mixed = attention(query, key, value, layout, mask, heads, fused, last, bias)
                attended = linear(mixed, w[6], w[7], False) + queries
                attended = functional.layer_norm(attended, width, w[8], w[9], eps)
                inner = linear(attended, w[10], w[11], True)
                inner = linear(inner, w[12], w[13], False) + attended
                rows = functional.layer_norm(inner, width, w[14], w[15], eps)
            return rows

        return torch.jit.script(layers)
    except Exception as error:  # whatever a torch without TorchScript may raise
        log.info("layers are run one operation after the other: %s", error)
        return None
