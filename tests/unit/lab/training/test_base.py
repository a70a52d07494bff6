from pathlib import Path

import torch
from safetensors.torch import save_file

from lab.training.base import new_cross_encoder


def test_a_model_goes_on_from_an_overlay_with_its_lower_half_still_frozen(tmp_path: Path) -> None:
    fresh = new_cross_encoder(1)
    trained = {
        name: part + 0.5 for name, part in fresh.state_dict().items() if not fresh.frozen(name)
    }
    save_file(trained, tmp_path / "overlay.safetensors")

    model = new_cross_encoder(1, tmp_path)

    for name, part in model.named_parameters():
        assert part.requires_grad is not fresh.frozen(name), name
        wanted = fresh.state_dict()[name] + (0.0 if fresh.frozen(name) else 0.5)
        assert torch.equal(part, wanted), name
