"""Average trained overlays with where they began: ``python -m lab.training.average``.

Fine-tuning on a few collections gains there and loses elsewhere; the weights in between keep most
of the gain and lose less (Wortsman et al., "Robust Fine-Tuning of Zero-Shot Models", CVPR 2022).
Here the beginning is itself a ranking: the bi-encoder's cosine and late interaction. Runs that
went on from each other may be averaged for the same reason (Wortsman et al., "Model Soups",
ICML 2022).
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from lab.training.base import new_cross_encoder

FILE = "overlay.safetensors"


def average(overlays: Sequence[Path], output: Path, share: float, seed: int) -> None:
    """Write ``share`` of the mean of overlays and the rest of a fresh model, in float16.

    Args:
        overlays: Folders of trained overlays.
        output: Folder to write to; may be the same.
        share: Of the trained weights, 0 to 1.
        seed: Seed of the fresh head that training began with.
    """
    fresh = new_cross_encoder(seed).state_dict()
    trained = [load_file(overlay / FILE) for overlay in overlays]
    mixed = {}
    for name in trained[0]:
        mean = torch.stack([each[name].float() for each in trained]).mean(0)
        mixed[name] = fresh[name].float().lerp(mean, share).half().contiguous()
    save_file(mixed, output / FILE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(description="Average overlays with where they began.")
    parser.add_argument(
        "--overlay", type=Path, nargs="+", required=True, help="folders of trained overlays"
    )
    parser.add_argument("--output", type=Path, required=True, help="folder to write to")
    parser.add_argument("--share", type=float, default=0.7, help="of the trained weights")
    parser.add_argument("--seed", type=int, default=13, help="seed of the fresh head")
    options = parser.parse_args(arguments)
    average(options.overlay, options.output, options.share, options.seed)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
