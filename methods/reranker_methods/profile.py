"""Profiles: the constants, weights and calibration of `best` for one pair of models.

A profile is a JSON file with a token bank (.npz) beside it:

    {
      "bi_encoder": "all-MiniLM-L6-v2",
      "cross_encoder": null,
      "features": {"cosine": {"mean": 0.4, "deviation": 0.2, "weight": 1.0}, ...},
      "calibration": {"slope": 1.5, "intercept": -2.0},
      "bank": "all-minilm-l6-v2.npz",
      "fitted": {"what it was fitted on": "..."},
      "source": "where the numbers come from, if they were not fitted"
    }

`mean` and `deviation` standardise a feature, in its own unit; they were measured offline, or
taken from the `source`.
The profiles shipped here lie in `profiles/`. A bi-encoder without one gets `default.json`,
whose round numbers only assume cosines of a contrastively trained encoder. A pair without one
gets the bi-encoder's terms and, for half the weight, the logit of `default+cross-encoder.json`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from reranker.errors import SettingsError
from reranker.pipeline.fusion import Calibration, Term, WeightedSum
from reranker_methods.features.token_statistics import (
    UNIFORM,
    TokenStatistics,
    load_token_statistics,
)

FOLDER = Path(__file__).parent / "profiles"
UNCALIBRATED = (
    "the scores of method 'best' are not calibrated for this pair of models: "
    "the order is meant, a threshold is not"
)

PASSED_OVER = "the configured profile is for another pair of models and was not used"


@dataclass(frozen=True, slots=True)
class Profile:
    """What `best` knows of one pair of models.

    Attributes:
        bi_encoder: the bi-encoder's id, None in a default profile.
        cross_encoder: the cross-encoder's id, None where there is none.
        fusion: constants, weights and calibration of the features.
        bank: background statistics of the bi-encoder's tokens.
        fitted: what the numbers were measured on, for people; empty where they are not.
        passed_over: whether this one stands in for a user's own, fitted to another pair.
    """

    bi_encoder: str | None
    cross_encoder: str | None
    fusion: WeightedSum
    bank: TokenStatistics
    fitted: dict[str, Any]
    passed_over: bool = False

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return what the caller must know of scores made with this profile."""
        told = (PASSED_OVER,) if self.passed_over else ()
        return told if self.fitted else (*told, UNCALIBRATED)


def load(path: Path) -> Profile:
    """Read a profile and its bank.

    Raises:
        SettingsError: the file is missing, no JSON, lacks a key or has a value out of range.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        terms = {name: Term(**values) for name, values in data["features"].items()}
        return Profile(
            bi_encoder=data["bi_encoder"],
            cross_encoder=data["cross_encoder"],
            fusion=WeightedSum(terms, Calibration(**data["calibration"])),
            bank=load_token_statistics(path.parent / data["bank"]) if data["bank"] else UNIFORM,
            fitted=data["fitted"],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise SettingsError("a profile could not be read", detail=f"{path}: {reason}") from error


def file_name(bi_encoder: str, cross_encoder: str | None) -> str:
    """Return the name under which a pair's profile is kept."""
    pair = [bi_encoder, cross_encoder] if cross_encoder else [bi_encoder]
    return "+".join(model.rpartition("/")[2].lower() for model in pair) + ".json"


@cache
def profile_for(bi_encoder: str, cross_encoder: str | None, own: str | None = None) -> Profile:
    """Return the profile of a pair: the user's own, the shipped one, or the default.

    Args:
        bi_encoder: the id of the weights, as `BiEncoder.name` has it.
        cross_encoder: the same of the cross-encoder, or None where none is used.
        own: file of a profile that goes before the shipped one of its pair.

    Raises:
        SettingsError: that file cannot be read.
    """
    if own is not None:
        fitted = load(Path(own).expanduser())
        if (fitted.bi_encoder, fitted.cross_encoder) == (bi_encoder, cross_encoder):
            return fitted
        return replace(profile_for(bi_encoder, cross_encoder), passed_over=True)
    exact = _shipped(bi_encoder, cross_encoder)
    if exact is not None:
        return exact
    if cross_encoder is None:
        return load(FOLDER / "default.json")
    return _with_cross(profile_for(bi_encoder, None))


def _with_cross(alone: Profile) -> Profile:
    """Return a bi-encoder's profile with a cross-encoder that nothing is known of beside it."""
    judge = load(FOLDER / "default+cross-encoder.json")
    rest = 1 - sum(term.weight for term in judge.fusion.terms.values())
    terms = {
        name: replace(term, weight=term.weight * rest) for name, term in alone.fusion.terms.items()
    }
    return replace(
        judge, fusion=replace(judge.fusion, terms=terms | dict(judge.fusion.terms)), bank=alone.bank
    )


def _shipped(bi_encoder: str, cross_encoder: str | None) -> Profile | None:
    path = FOLDER / file_name(bi_encoder, cross_encoder)
    if not path.is_file():
        return None
    profile = load(path)
    # A folder of the same name may hold other weights; only the catalogued id is meant.
    same = (profile.bi_encoder, profile.cross_encoder) == (bi_encoder, cross_encoder)
    return profile if same else None
