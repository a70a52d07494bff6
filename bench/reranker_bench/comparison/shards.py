"""Parts of a comparison done apart, put together as if they had been done in one go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from reranker_bench.comparison.plan import WHOLE, PlanError, Shard, differing
from reranker_bench.comparison.records import RecordStore, read_identity

if TYPE_CHECKING:
    from reranker_bench.comparison.plan import Plan
    from reranker_bench.data.candidate_pools import Dataset


def merge(
    parts: Sequence[Path],
    output: Path,
    plan: Plan,
    collections: Sequence[Dataset],
    *,
    overwrite: bool = False,
) -> RecordStore:
    """Put the results of all shards into one folder.

    Args:
        parts: the output folders of the shards, in any order.
        output: where the whole goes.
        plan: of the whole.
        collections: the data sets, as the shards read them.
        overwrite: whether to drop what `output` holds.

    Raises:
        PlanError: a shard is missing, there twice or of another comparison, or used other
            weights than the rest.
    """
    whole = replace(plan, shard=WHOLE)
    identity = whole.identity(collections)
    _check_complete(parts)
    stores = []
    for part in parts:
        own = read_identity(part)
        if keys := [key for key in differing(own, identity) if key != "shard"]:
            raise PlanError(f"{part} is part of another comparison; it differs in: {keys}")
        stores.append(RecordStore(part, own, resume=True))
    merged = RecordStore(output, identity, overwrite=overwrite)
    for part, store in zip(parts, stores, strict=True):
        if store.models != stores[0].models:
            raise PlanError(f"{part} was ranked with other weights than {parts[0]}")
    merged.use_models(stores[0].models)
    merged.note_machine(stores[0].machine)
    for task in whole.tasks(collections):
        found = next((s.records[task] for s in stores if task in s.records), None)
        if found is not None:
            merged.add(found)
    for store in stores:
        for timing in store.timings.values():
            merged.add(timing)
    return merged


def _check_complete(parts: Sequence[Path]) -> None:
    found = [Shard.parse(str(read_identity(part).get("shard"))) for part in parts]
    counts = {shard.count for shard in found}
    if len(counts) != 1:
        raise PlanError("the folders are shards of different numbers of parts")
    (count,) = counts
    numbers = sorted(shard.number for shard in found)
    if missing := sorted(set(range(1, count + 1)) - set(numbers)):
        raise PlanError(f"shard {missing[0]}/{count} is missing")
    if len(numbers) != count:
        raise PlanError("a shard is there twice")
