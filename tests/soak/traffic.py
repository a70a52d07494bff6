"""What the clients send: every method, every dialect, and what goes wrong in the wild.

Each kind of request says which statuses answer it when nothing is amiss.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

BI, CROSS = "all-MiniLM-L6-v2", "minilm-l6-cross-encoder"
V3 = "/api/v3/inference/reranker"
WORDS = """
river bank loan rate storm cloud server query vector rank model tree apple seed
water glass paper tiger music letter number green quick quiet harbour engine market signal memory
"""
REPEATED = 0.3  # share of documents that come again and again, so that caches have work


@dataclass(frozen=True)
class Sent:
    """A request: what it is called in the report, where it goes, and what may come back."""

    kind: str
    path: str
    body: Any
    expected: frozenset[int]
    key: str = "dialects"


class Traffic:
    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._pool = [self._fresh() for _ in range(50)]

    def _fresh(self) -> str:
        count = min(150, int(self._random.lognormvariate(3, 0.8)) + 1)
        return " ".join(self._random.choices(WORDS.split(), k=count))

    def text(self) -> str:
        again = self._random.random() < REPEATED
        return self._random.choice(self._pool) if again else self._fresh()

    def texts(self) -> list[str]:
        return [self.text() for _ in range(self._random.randint(1, 8))]

    def query(self) -> str:
        return " ".join(self._random.choices(WORDS.split(), k=4))

    def v3(self) -> Sent:
        method = self._random.choice(("fast", "standard", "optimal", "best"))
        body = {"model": BI, "query": self.query(), "documents": self.texts(), "method": method}
        if method in ("standard", "optimal") or self._random.random() < 0.5:
            body["model_cross"] = CROSS
        return Sent(f"v3 {method}", V3, body, frozenset({200, 429}), "v3")

    def dialect(self) -> Sent:
        query, texts = self.query(), self.texts()
        contexts = [{"text": text} for text in texts]
        choices: tuple[tuple[str, str, Any], ...] = (
            ("cohere", "/v2/rerank", {"model": CROSS, "query": query, "documents": texts}),
            ("jina", "/v1/rerank", {"model": CROSS, "query": query, "documents": contexts}),
            ("tei", "/rerank", {"query": query, "texts": texts, "truncate": True}),
            ("voyage", "/voyage/v1/rerank", {"model": BI, "query": query, "documents": texts}),
            (
                "cloudflare",
                f"/accounts/a/ai/run/{CROSS}",
                {"query": query, "contexts": contexts, "top_k": 2},
            ),
            ("score", "/score", {"model": CROSS, "text_1": query, "text_2": texts}),
            ("embeddings", "/v1/embeddings", {"model": BI, "input": texts}),
            ("embed", "/embed", {"inputs": texts}),
            (
                "id:method",
                "/v1/rerank",
                {"model": f"{BI}:best", "query": query, "documents": texts},
            ),
        )
        name, path, body = self._random.choice(choices)
        return Sent(name, path, body, frozenset({200, 429}))

    def wrong(self) -> Sent:
        """Return a request that must be refused."""
        good = {"model": BI, "query": "a", "documents": ["a"]}
        late = {**good, "documents": [self._fresh() for _ in range(60)], "timeout_ms": 1}
        choices: tuple[tuple[str, Any, set[int]], ...] = (
            ("no json", b'{"model": ', {400}),
            ("no model", {**good, "model": "nope"}, {404}),
            ("no query", {**good, "query": " "}, {422}),
            ("no method", {**good, "method": "nope"}, {422}),
            ("nested", b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", {400}),
            ("too many", {**good, "documents": ["a"] * 1001}, {413}),
            ("late", late, {504}),
            ("not allowed", {**good, "method": "fast"}, {403}),
            ("no key", good, {401}),
            ("over the rate", good, {200, 429}),
        )
        name, body, expected = self._random.choice(choices)
        key = {"not allowed": "best-only", "no key": "none", "over the rate": "slow"}
        allowed = frozenset(expected | {429})
        return Sent(f"wrong: {name}", V3, body, allowed, key.get(name, "dialects"))

    def next(self) -> Sent:
        kinds: tuple[tuple[Callable[[], Sent], float], ...] = (
            (self.v3, 0.5),
            (self.dialect, 0.38),
            (self.wrong, 0.12),
        )
        (choose,) = self._random.choices([k for k, _ in kinds], [w for _, w in kinds])
        return choose()
