"""Profiles: the constants, weights and calibration of `best` for one pair of models.

A profile is a JSON file with token statistics (.npz) beside it, under the key "bank":

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
taken from the `source`. The shipped profiles are in `profiles/`. A bi-encoder without one gets
`default.json`, whose round numbers only assume cosines of a contrastively trained encoder. A
pair without one gets the bi-encoder's terms and, with half the weight, the cross-encoder's logit
of `default+cross-encoder.json`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from reranker import SettingsError
from reranker.pipeline.fusion import Calibration, Term, WeightedSum
from reranker_methods.features.token_statistics import (
    UNIFORM,
    TokenStatistics,
    load_token_statistics,
)

FOLDER = Path(__file__).parent / "profiles"
UNCALIBRATED = (
    "the scores of method 'best' are not calibrated for this pair of models: "
    "use their order, not a threshold"
)
NOT_USED = "the configured profile is for another pair of models and was not used"


@dataclass(frozen=True, slots=True)
class Profile:
    """The constants of `best` for one pair of models.

    Attributes:
        bi_encoder: the bi-encoder's id, None in a default profile.
        cross_encoder: the cross-encoder's id, None where there is none.
        fusion: constants, weights and calibration of the features.
        token_statistics: background statistics of the bi-encoder's tokens.
        fitted: what the numbers were measured on, for people; empty where they were not.
        replaces_own: whether it is used instead of the user's own, which is for another pair.
    """

    bi_encoder: str | None
    cross_encoder: str | None
    fusion: WeightedSum
    token_statistics: TokenStatistics
    fitted: dict[str, Any]
    replaces_own: bool = False

    def is_for(self, bi_encoder: str, cross_encoder: str | None) -> bool:
        """Return whether it was written for this pair of ids."""
        return (self.bi_encoder, self.cross_encoder) == (bi_encoder, cross_encoder)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return what the caller must know of scores computed with this profile."""
        replaced = (NOT_USED,) if self.replaces_own else ()
        return replaced if self.fitted else (*replaced, UNCALIBRATED)


def load(path: Path) -> Profile:
    """Read a profile and its token statistics.

    Raises:
        SettingsError: the file is missing, no JSON, lacks a key or has a value out of range.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        terms = {name: Term(**values) for name, values in data["features"].items()}
        bank = data["bank"]
        return Profile(
            bi_encoder=data["bi_encoder"],
            cross_encoder=data["cross_encoder"],
            fusion=WeightedSum(terms, Calibration(**data["calibration"])),
            token_statistics=load_token_statistics(path.parent / bank) if bank else UNIFORM,
            fitted=data["fitted"],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise SettingsError("a profile could not be read", detail=f"{path}: {reason}") from error


def file_name(bi_encoder: str, cross_encoder: str | None) -> str:
    """Return the name of the file that holds a pair's profile."""
    pair = [bi_encoder, cross_encoder] if cross_encoder else [bi_encoder]
    return "+".join(model.rpartition("/")[2].lower() for model in pair) + ".json"


@cache
def profile_for(bi_encoder: str, cross_encoder: str | None, own: str | None = None) -> Profile:
    """Return the profile of a pair: the user's own, the shipped one, or the default.

    Args:
        bi_encoder: the id of the weights, as `BiEncoder.name` has it.
        cross_encoder: the same of the cross-encoder, or None where none is used.
        own: file of the user's own profile, which is preferred for the pair that it names.

    Raises:
        SettingsError: that file cannot be read.
    """
    if own is not None:
        profile = load(Path(own).expanduser())
        if profile.is_for(bi_encoder, cross_encoder):
            return profile
        return replace(profile_for(bi_encoder, cross_encoder), replaces_own=True)
    path = FOLDER / file_name(bi_encoder, cross_encoder)
    if path.is_file():
        profile = load(path)
        # A model folder of the same name may hold other weights, so the whole id is compared.
        if profile.is_for(bi_encoder, cross_encoder):
            return profile
    if cross_encoder is None:
        return load(FOLDER / "default.json")
    return _with_default_cross_encoder(profile_for(bi_encoder, None))


def _with_default_cross_encoder(profile: Profile) -> Profile:
    """Return a bi-encoder's profile with the term of an unknown cross-encoder added."""
    default = load(FOLDER / "default+cross-encoder.json")
    rest = 1 - sum(term.weight for term in default.fusion.terms.values())
    terms = {
        name: replace(term, weight=term.weight * rest)
        for name, term in profile.fusion.terms.items()
    }
    return replace(
        default,
        fusion=replace(default.fusion, terms=terms | dict(default.fusion.terms)),
        token_statistics=profile.token_statistics,
    )
