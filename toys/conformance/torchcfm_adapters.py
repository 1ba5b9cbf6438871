"""Adapters for torchcfm: its flow matchers without width, and its optimal pairs."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torchcfm
from torchcfm.conditional_flow_matching import ConditionalFlowMatcher, VariancePreservingConditionalFlowMatcher
from torchcfm.optimal_transport import OTPlanSampler


class Matchers:
    """ConditionalFlowMatcher and VariancePreservingConditionalFlowMatcher with sigma = 0; x0 is our noise, x1 our data."""

    version = torchcfm.__version__
    dialect: ClassVar[dict[str, Any]] = {"arrays": "torch"}
    matchers: ClassVar[dict[str, Any]] = {
        "straight": ConditionalFlowMatcher(0.0),
        "trigonometric": VariancePreservingConditionalFlowMatcher(0.0),
    }

    def interpolate(self, data: Any, noise: Any, t: Any, path: str) -> Any:
        return self.matchers[path].compute_mu_t(noise, data, self._each(t, data))

    def velocity(self, data: Any, noise: Any, t: Any, path: str) -> Any:
        each = self._each(t, data)
        return self.matchers[path].compute_conditional_flow(noise, data, each, self.matchers[path].compute_mu_t(noise, data, each))

    def _each(self, t: Any, data: Any) -> Any:
        return torch.as_tensor(t, dtype=data.dtype).expand(len(data))


class Pairs:
    """OTPlanSampler("exact"): the plan is a permutation, divided by the number of pairs."""

    version = torchcfm.__version__
    dialect: ClassVar[dict[str, Any]] = {"arrays": "torch"}

    def couple_optimally(self, data: Any, noise: Any) -> Any:
        return OTPlanSampler("exact").get_map(noise, data).argmax(axis=1)
