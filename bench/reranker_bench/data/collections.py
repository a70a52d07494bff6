"""Test collections by name: a BEIR folder, a JSON lines file, standard input, or the sample."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from reranker_bench.data.beir import DatasetError, RetrievalSet, load_beir
from reranker_bench.data.candidate_pools import POOL_SIZE, Dataset, dataset_of
from reranker_bench.data.json_lines import STDIN, load_listed

SAMPLE = "sample"
"""The name of the collection that is shipped with this package."""


def sample_folder() -> Path:
    """Return the folder of the collection that is shipped with this package."""
    return Path(str(files("reranker_bench").joinpath("data", "sample")))


def open_collection(name: str, split: str | None = None) -> RetrievalSet:
    """Read one data set: a BEIR folder, a JSONL file, "-" for standard input, or "sample".

    Raises:
        DatasetError: it is missing or malformed.
    """
    path = Path(name)
    if name == STDIN or path.is_file():
        return load_listed(name)
    if name == SAMPLE and not path.exists():
        return load_beir(sample_folder())
    if not path.exists():
        raise DatasetError(f"{name}: no such folder or file")
    return load_beir(path, split)


def read_collections(
    names: Sequence[str],
    split: str | None = None,
    limit: int | None = None,
    pool_size: int = POOL_SIZE,
) -> list[Dataset]:
    """Read data sets and fix their candidate pools.

    Args:
        names: see `open_collection`.
        split: which file of ``qrels/``.
        limit: the most queries of each.
        pool_size: BM25 candidates a query, where a data set has none of its own.

    Raises:
        DatasetError: of all data sets that are wrong, one line each; or two have the same name.
    """
    found, wrong = [], []
    for name in names:
        try:
            found.append(dataset_of(open_collection(name, split), limit, pool_size))
        except DatasetError as error:
            wrong.append(str(error))
    if wrong:
        raise DatasetError("\n".join(wrong))
    titles = [each.name for each in found]
    for name in titles:  # results of the second would replace those of the first
        if titles.count(name) > 1:
            raise DatasetError(f"two data sets are named {name!r}; rename one's folder")
    return found
