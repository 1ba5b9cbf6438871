"""Lost precision: answers that are right in float32 only, or whose digits cancel."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import compare
from ..mutations import kills
from ..mutations.symptoms import CANCELLED, ROUNDED
from ..operations import operations
from .evidence import Evidence, Observation

SINGLE, DOUBLE = float(np.finfo(np.float32).eps), float(np.finfo(np.float64).eps)
FACTOR = 64  # by which an error may differ from that of the formula in float32
SHARE = 0.9  # of the vectors that float32 fails, which an implementation in float32 fails too
LARGE = 0.1  # of the largest right number: no error of float32
SMALL = 1e4  # units of float64's precision, of the largest number, within which digits cancel


def lost_precision(evidence: Evidence) -> list[str]:
    """The symptom that explains all wrong answers of an operation, if there is one."""
    if not evidence.wrong or evidence.errored:
        return []
    errors = [(_error(each.result.got or {}, each), each) for each in evidence.wrong]
    if all(error <= SMALL * DOUBLE * each.largest for error, each in errors):
        return [CANCELLED]
    if any(error > LARGE * _size(each) for error, each in errors):
        return []
    answers = {each.id: _in_single(each) for each in (*evidence.wrong, *evidence.passed)}
    single = {each.id: _error(answers[each.id], each) for each in (*evidence.wrong, *evidence.passed)}
    like = all(error <= FACTOR * max(single[each.id], SINGLE * _size(each)) for error, each in errors)
    like = like and sum(_alike(each, answers[each.id]) for each in evidence.wrong) >= SHARE * len(evidence.wrong)
    failing = [each for each in (*evidence.wrong, *evidence.passed) if single[each.id] > FACTOR * 1e-9 * _size(each)]
    wrong = {each.id for each in evidence.wrong}
    return [ROUNDED] if like and sum(each.id in wrong for each in failing) >= SHARE * max(len(failing), 1) else []


def _in_single(observation: Observation) -> dict[str, Any]:
    """The answer of the formula in float32; nothing if it raises."""
    inputs = {name: _single(value) for name, value in observation.inputs.items()}
    return kills.outcome(operations()[observation.result.vector.operation], None, inputs) or {}


def _alike(observation: Observation, single: dict[str, Any]) -> bool:
    """Whether at least half of the numbers that float32 gets wrong are wrong: a single wrong number is not float32."""
    vector, got = observation.result.vector, observation.result.got or {}
    wrong, expected = 0, 0
    for name, want in (vector.expected or {}).items():
        if np.shape(single.get(name, want)) == np.shape(want) == np.shape(got.get(name, 0)) and name in single:
            allowed = compare.allowed(np.asarray(want, float), vector.tolerance, "float64")
            off = abs(np.asarray(single[name], float) - want) > allowed
            wrong, expected = wrong + int((off & (abs(np.asarray(got[name], float) - want) > allowed)).sum()), expected + int(off.sum())
    return 2 * wrong >= expected


def _single(value: Any) -> Any:
    if callable(value):
        return lambda x, t: np.asarray(value(x, t), dtype=np.float32)
    if isinstance(value, float):
        return np.float32(value)
    return value.astype(np.float32) if getattr(getattr(value, "dtype", None), "kind", "") == "f" else value


def _error(got: dict[str, Any], observation: Observation) -> float:
    """The largest error of an answer; infinity for one that is not comparable."""
    try:
        with np.errstate(all="ignore"):
            errors = [
                abs(np.asarray(got[name], float) - want).max(initial=0) for name, want in (observation.result.vector.expected or {}).items()
            ]
    except (KeyError, TypeError, ValueError):
        return np.inf
    return float(np.nan_to_num(max(errors), nan=np.inf))


def _size(observation: Observation) -> float:
    """The largest right number."""
    return max(float(abs(np.asarray(want, float)).max(initial=0)) for want in (observation.result.vector.expected or {}).values())
