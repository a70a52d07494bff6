"""Which of several candidates is fastest, timed in turns until the time is up.

A candidate must win by `MARGIN`. Ties keep the default, so timing noise cannot flip the choice.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Container, Mapping, Sequence

log = logging.getLogger(__name__)

MARGIN = 0.1
_ROUNDS = 5  # how often each candidate is timed at most; the best time counts


class CandidateTimer:
    """Times candidates until the time is up; the best time of each counts.

    Args:
        name: of the model, for the log.
        prior: seconds that a token takes, so that no trial overruns by much.
    """

    def __init__(self, name: str, prior: float) -> None:
        self._name = name
        self.seconds_per_token = prior  # at best, with all threads
        self._best: dict[str, float] = {}
        self._failed: set[str] = set()

    @property
    def rates(self) -> dict[str, float]:
        """Return the tokens per second of each that was timed, at best."""
        return {name: 1 / max(spent, 1e-12) for name, spent in self._best.items()}

    def compare(
        self,
        trials: Mapping[str, tuple[int, Callable[[], object], Callable[[], None]]],
        seconds: float,
        always: Container[str] = (),
    ) -> None:
        """Time trials, of so many tokens each, in turns.

        Args:
            trials: tokens, what runs them, and what makes the candidate the one in use, by name.
            seconds: one that would end later is left out.
            always: those that are timed once however long it takes.
        """
        until = time.perf_counter() + seconds
        for number in range(_ROUNDS):
            for name, (tokens, probe, use) in trials.items():
                expected = tokens * self._best.get(name, self.seconds_per_token)
                late = time.perf_counter() + expected > until
                if name in self._failed or (late and (number or name not in always)):
                    continue
                try:
                    use()
                    spent = seconds_of(probe) / tokens
                except Exception as error:  # whatever a model may raise, out of memory for one
                    log.warning("model %s: %s is left out: %s", self._name, name, error)
                    self._failed.add(name)
                    self._best.pop(name, None)
                    continue
                self._best[name] = min(spent, self._best.get(name, spent))
                self.seconds_per_token = min(self.seconds_per_token, spent)

    def fastest(self, names: Sequence[str], present: str) -> str:
        """Return the candidate nearest to the present one among those about as fast as any."""
        timed = [name for name in names if name in self._best]
        if not timed:
            return present
        bound = min(self._best[name] for name in timed) * (1 + MARGIN)
        good = [name for name in timed if self._best[name] <= bound]
        if present not in {*self._best, *self._failed} and timed[-1] in good:
            return present  # the time was up while more was still better
        place = names.index(present) if present in names else 0
        return min(good, key=lambda name: abs(names.index(name) - place))


def seconds_of(run: Callable[[], object]) -> float:
    """Return the seconds that a run takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
