"""Training queries of several kinds: a collection's own, and others generated from its passages.

A cross-encoder trained only on questions ranks badly for topics, keywords and long descriptions,
so passages also yield queries of those kinds. A sentence that becomes a query is removed from the
passage it came from (the inverse cloze task of Lee, Chang and Toutanova, 2019).
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from lab.training.corpus.passages import sentences

WORD = re.compile(r"[A-Za-z][A-Za-z\-]{2,}")


@dataclass(frozen=True, slots=True)
class Query:
    """A training query.

    Attributes:
        kind: What sort of query it is: question, title, sentence, keywords, long, ...
        text: The query.
        positives: Indices of its relevant passages.
        judged: Indices of passages judged not relevant; empty where the collection has none.
        removed: Sentences of the positive that became the query.
        unsure: Indices of passages that may or may not be relevant, never used as negatives.
    """

    kind: str
    text: str
    positives: tuple[int, ...]
    judged: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()
    unsure: tuple[int, ...] = ()


def sentence_query(index: int, passage: str, random: Random) -> Query | None:
    """Return one sentence of the passage as a query, or None if the passage has fewer than 3."""
    spans = sentences(passage)
    usable = [i for i, (a, b) in enumerate(spans) if 5 <= len(passage[a:b].split()) <= 40]
    if len(spans) < 3 or not usable:
        return None
    chosen = random.choice(usable)
    start, end = spans[chosen]
    return Query("sentence", passage[start:end].strip(), (index,), removed=(chosen,))


def long_query(
    index: int, passage: str, head: str, random: Random, words: tuple[int, int] = (25, 75)
) -> Query | None:
    """Return a heading and several sentences of the passage as one long query, or None.

    Args:
        index: The passage's index.
        passage: Its text.
        head: A title or keyphrases to begin with; may be empty.
        random: Source of choices.
        words: The shortest and longest length.
    """
    spans = sentences(passage)
    order = random.sample(range(len(spans)), len(spans))
    target, taken, count = random.randint(*words), list[int](), len(head.split())
    for i in order:
        length = len(passage[spans[i][0] : spans[i][1]].split())
        if len(taken) < len(spans) - 2 and count + length <= target + 10 and count < target:
            taken.append(i)
            count += length
    if not taken or count < words[0]:
        return None
    body = " ".join(passage[slice(*spans[i])].strip() for i in sorted(taken))
    return Query("long", f"{head}. {body}" if head else body, (index,), removed=tuple(taken))


def keyword_query(index: int, passage: str, idf: dict[str, float], random: Random) -> Query | None:
    """Return two to six characteristic words of the passage, or None if it has too few words.

    Words are drawn in proportion to (term frequency) * idf squared, then put in a random order.
    """
    counts = Counter(w.lower() for w in WORD.findall(passage))
    weights = {w: min(c, 3) * idf.get(w, 0.0) ** 2 for w, c in counts.items()}
    # The exponential race draws without replacement in proportion to the weights.
    race = {w: random.expovariate(1.0) / x for w, x in weights.items() if x > 0}
    target = random.randint(2, 6)
    if len(race) < 2 * target:
        return None
    chosen = sorted(race, key=race.__getitem__)[:target]
    random.shuffle(chosen)
    return Query("keywords", " ".join(chosen), (index,))


def word_idf(passages: Sequence[str]) -> dict[str, float]:
    """Return log(n / df) of each lower-cased word that at least two passages hold.

    Words of one passage alone are left out: most are names or misspellings that make the passage
    trivial to find.
    """
    df = Counter(w for p in passages for w in {w.lower() for w in WORD.findall(p)})
    return {w: math.log(len(passages) / c) for w, c in df.items() if c >= 2}
