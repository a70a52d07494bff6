"""A digest of networks as they are in memory, under which exports and shared results are kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def fingerprint(networks: Iterable[nn.Module], *parts: object) -> str:
    """Return a digest of networks as they are in memory, dtype included, and of parts.

    The digest of a weights file is not enough to share results under: folders with the same
    weights may differ in pooling or tokenizer, and another dtype rounds differently.
    """
    import torch

    digest = hashlib.blake2b(digest_size=12)
    for network in networks:
        for name, tensor in network.state_dict().items():
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            plain = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            digest.update(plain.numpy().data)
        digest.update(f"{network}\n".encode())
    digest.update("\n".join(map(str, parts)).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
