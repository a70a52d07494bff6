"""Average a trained overlay with where it began: ``python -m reranker_bench.training.average``.

Fine-tuning on a few collections gains there and loses elsewhere; the weights in between keep most
of the gain and lose less (Wortsman et al., "Robust Fine-Tuning of Zero-Shot Models", CVPR 2022).
Here the beginning is itself a ranking: the bi-encoder's cosine and late interaction.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import load_file, save_file

from reranker_bench.training.base import new_cross_encoder

FILE = "overlay.safetensors"


def average(overlay: Path, output: Path, share: float, seed: int) -> None:
    """Write ``share`` of an overlay and the rest of a fresh model, in float16.

    Args:
        overlay: Folder of the trained overlay.
        output: Folder to write to; may be the same.
        share: Of the trained weights, 0 to 1.
        seed: Seed of the fresh head that training began with.
    """
    fresh = new_cross_encoder(seed).state_dict()
    trained = load_file(overlay / FILE)
    mixed = {
        name: fresh[name].float().lerp(part.float(), share).half().contiguous()
        for name, part in trained.items()
    }
    save_file(mixed, output / FILE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(description="Average an overlay with where it began.")
    parser.add_argument("--overlay", type=Path, required=True, help="folder of the overlay")
    parser.add_argument("--output", type=Path, required=True, help="folder to write to")
    parser.add_argument("--share", type=float, default=0.7, help="of the trained weights")
    parser.add_argument("--seed", type=int, default=13, help="seed of the fresh head")
    options = parser.parse_args(arguments)
    average(options.overlay, options.output, options.share, options.seed)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
