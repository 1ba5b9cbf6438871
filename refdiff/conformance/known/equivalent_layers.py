"""Composed mutants of layers, networks, optimizers and training that are no mistakes, and why."""

from __future__ import annotations

EQUIVALENT: dict[str, str] = {
    "adaptive_group_norm_vjp: shift -> scale": "film_vjp takes the shift as film does, but no derivative of film depends on it",
    "block_by_scale_vjp: output dshortcut_w: the batch's mean": "the first axis of a 1 x 1 kernel is 1 long: its mean is itself",
    "block_by_shift_vjp: output dshortcut_w: the batch's mean": "the first axis of a 1 x 1 kernel is 1 long: its mean is itself",
    "learning_rate: step -> step + 1": "at the end of the warm-up both branches give the peak",
    **{f"{name}_score_matching: input score negated": "only its square counts" for name in ("implicit", "sliced")},
}
