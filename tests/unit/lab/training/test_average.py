from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lab.training import average
from reranker.families.split_cross_encoder.network import SplitBert


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_weights_lie_between_the_beginning_and_the_end(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    new_model: Callable[[], SplitBert],
    share: float,
) -> None:
    fresh = new_model()
    seeds: list[int] = []
    monkeypatch.setattr(average, "new_cross_encoder", lambda seed: seeds.append(seed) or fresh)
    begun = fresh.state_dict()
    trained = {name: begun[name] + 1 for name in ("gates", "segments")}
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder, off in zip(folders, (-0.5, 0.5), strict=True):
        folder.mkdir()
        save_file({k: part + off for k, part in trained.items()}, folder / average.FILE)

    given = ["--overlay", *map(str, folders), "--output", str(tmp_path), "--share", str(share)]
    assert average.main([*given, "--seed", "5"]) == 0

    made = load_file(tmp_path / average.FILE)
    assert seeds == [5]
    assert set(made) == set(trained)
    for name, part in made.items():
        assert part.dtype == torch.float16
        assert torch.allclose(part.float(), begun[name] + share, atol=1e-3)
