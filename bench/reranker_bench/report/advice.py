"""What the numbers advise, in plain sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reranker_bench.evaluation.measures import NDCG_AT_10
from reranker_bench.evaluation.outcomes import ALL, MethodDifference

RISK = 0.05
"""A difference counts where its p, adjusted for all comparisons, is below this."""

_ALIKE = 1.1  # latencies within this factor of each other are called alike


def advise(
    dataset: str,
    values: Mapping[str, float],
    compared: Sequence[MethodDifference],
    latency: Mapping[str, float],
) -> list[str]:
    """Return a recommendation, then one sentence for each method but the baseline.

    Args:
        dataset: the name of the data set, or `ALL`.
        values: method to mean nDCG@10, the baseline first.
        compared: all comparisons of the report.
        latency: method to seconds a query, of those that were timed.
    """
    pairs = {
        (each.method, each.baseline): each
        for each in compared
        if each.dataset == dataset and each.measure == NDCG_AT_10
    }
    baseline, *others = values
    where = "Over all data sets" if dataset == ALL else f"On {dataset}"
    sentences = [_recommendation(where, values, pairs, latency)] if others else []
    return sentences + [
        _sentence(where, method, pairs[method, baseline], latency) for method in others
    ]


def choice(
    values: Mapping[str, float],
    pairs: Mapping[tuple[str, str], MethodDifference],
    latency: Mapping[str, float],
) -> str:
    """Return the method that is worth its time: a slower one must be measurably better.

    Begins with the quickest and changes to a slower one only for a measured gain, so that a
    method between two others is not taken because nothing at all is known of it. Without
    latencies, in order.
    """
    chosen, *slower = sorted(values, key=lambda method: latency.get(method, float("inf")))
    for method in slower:
        if _better(method, chosen, pairs):
            chosen = method
    return chosen


def _recommendation(
    where: str,
    values: Mapping[str, float],
    pairs: Mapping[tuple[str, str], MethodDifference],
    latency: Mapping[str, float],
) -> str:
    chosen = choice(values, pairs, latency)
    best = max(values, key=lambda method: values[method])
    beaten = [method for method in values if _better(chosen, method, pairs)]
    over = f", and it is measurably better than {_listed(beaten)}" if beaten else ""
    if chosen == best:
        return f"{where}, take {_code(chosen)}: no method scores higher{over}."
    return (
        f"{where}, take {_code(chosen)}: {_code(best)} scores "
        f"{_points(values[best] - values[chosen])} higher, "
        f"which these queries cannot tell from chance{over}."
    )


def _sentence(
    where: str, method: str, compared: MethodDifference, latency: Mapping[str, float]
) -> str:
    found = compared.difference
    cost = _cost(latency.get(method), latency.get(compared.baseline))
    versus = f"{_code(compared.baseline)} (p = {p_text(compared.p_holm)})"
    if compared.p_holm < RISK:
        verb = "gains" if found.mean > 0 else "loses"
        than = "over" if found.mean > 0 else "against"
        return f"{where}, {_code(method)} {verb} {_points(abs(found.mean))} {than} {versus}{cost}."
    span = f"from {100 * found.low:+.1f} to {100 * found.high:+.1f} points"
    if found.low > 0 or found.high < 0:
        return (
            f"{where}, {_code(method)} differs from {versus} by {span}{cost}: "
            "a hint, but among this many comparisons it may be chance."
        )
    return (
        f"{where}, {_code(method)} shows no difference from {versus}{cost}: "
        f"anything {span} fits the data."
    )


def _better(one: str, other: str, pairs: Mapping[tuple[str, str], MethodDifference]) -> bool:
    """Return whether one method is measurably better than another."""
    for pair, sign in (((one, other), 1), ((other, one), -1)):
        if pair in pairs:
            found = pairs[pair]
            return found.p_holm < RISK and sign * found.difference.mean > 0
    return False


def _cost(seconds: float | None, base: float | None) -> str:
    if not seconds or not base:
        return ""
    times = seconds / base
    if 1 / _ALIKE <= times <= _ALIKE:
        return " at about the same latency"
    if times > 1:
        return f" at {_times(times)} times the latency"
    return f" at {_times(1 / times)} times less latency"


def _times(times: float) -> str:
    return f"{times:.0f}" if times >= 3 else f"{times:.1f}"


def p_text(p: float) -> str:
    """Return a p-value as papers print it."""
    if p < 0.001:
        return f"{p:.4f}".lstrip("0") if p >= 0.0001 else "< .0001"
    return f"{p:.3f}".lstrip("0") if p < 0.9995 else "1"


def _points(difference: float) -> str:
    return f"{100 * difference:.1f} points"


def _code(method: str) -> str:
    return f"`{method}`"


def _listed(methods: Sequence[str]) -> str:
    *head, last = [_code(method) for method in methods]
    return f"{', '.join(head)} and {last}" if head else last
