"""Configuration of OTReg, optimal transport between speech and transcript embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from espnet_otreg.regularizers.base import RegularizerConfig
from espnet_otreg.regularizers.registry import register_regularizer

if TYPE_CHECKING:
    from espnet_otreg.regularizers.otreg_loss import OTRegularizer


@register_regularizer("otreg")
@dataclass(frozen=True)
class OTRegConfig(RegularizerConfig):
    """Settings of OTReg (Xu et al., arXiv 2508.08131); formulas in ``otreg_loss``.

    Attributes:
        weight: 0.3 in the paper (medium-high confidence).
        plan: "entropic", or "sparse" = at most ``max_nonzeros`` targets for each frame (Liu et al.,
            ICLR 2023), which the paper does not have.
        epsilon: entropy of an entropic plan, in units of the cost 1 - cos. Our choice.
        max_nonzeros, gamma: of a sparse plan; gamma is its quadratic term, in units of the cost.
        max_iterations, tolerance: of the solver. Our choice.
        sparsity_weight: factor of the mean over frames of ``sparsity``. Our choice, as is the term.
        sparsity: of the shares p of a frame's mass: "entropy", "impurity" = 1 - sum p^2, or
            "spread" = 1 - max p.
        anchor: add the anchor embedding as a target for silence.
        anchor_mass: its share of the mass, in (0, 1); None = that of one token; "voice_activity" =
            each utterance's own share of silent frames, by the CTC read-out (``voice_activity``).
        deduplicate: "token_id" keeps each token once; "none" keeps all.
        marginals: "uniform", or "norm" = in proportion to the norms of the embeddings (constants).
        source_relaxation: strength rho of the frames' marginal, in units of the cost; None = exact.
        gradient: of the plan: "implicit", "unrolled", or "envelope" (plan held constant).

    >>> OTRegConfig(epsilon=0.0, gradient="envelope").validate()[0]
    'epsilon: expected a positive number, found 0.0'
    """

    weight: float = 0.3
    plan: Literal["entropic", "sparse"] = "entropic"
    epsilon: float = 0.1
    max_nonzeros: int = 2
    gamma: float = 0.1
    max_iterations: int = 50
    tolerance: float = 1e-3
    sparsity_weight: float = 0.1
    sparsity: Literal["entropy", "impurity", "spread"] = "entropy"
    anchor: bool = True
    anchor_mass: float | Literal["voice_activity"] | None = None
    deduplicate: Literal["token_id", "none"] = "token_id"
    marginals: Literal["uniform", "norm"] = "uniform"
    source_relaxation: float | None = None
    gradient: Literal["implicit", "unrolled", "envelope"] = "implicit"

    @property
    def needs_readout(self) -> bool:
        """Voice activity is read off it."""
        return self.anchor_mass == "voice_activity"

    def validate(self) -> list[str]:
        """Every mistake in the values, as ``key: message``."""
        wanted = {
            "epsilon": (self.epsilon > 0, "a positive number"),
            "max_nonzeros": (self.max_nonzeros >= 1, "at least 1"),
            "gamma": (self.gamma > 0, "a positive number"),
            "max_iterations": (self.max_iterations >= 1, "at least 1"),
            "tolerance": (self.tolerance >= 0, "a number not below 0"),
            "sparsity_weight": (self.sparsity_weight >= 0, "a number not below 0"),
            "anchor_mass": (
                self.anchor_mass in (None, "voice_activity") or 0 < float(self.anchor_mass) < 1,
                "a share between 0 and 1",
            ),
            "source_relaxation": (
                self.source_relaxation is None or self.source_relaxation > 0,
                "a positive number",
            ),
        }
        errors = super().validate() + self.unmet(wanted)
        if self.anchor_mass is not None and not self.anchor:
            errors.append("anchor_mass: has no meaning with 'anchor: false'")
        if self.plan == "sparse" and self.source_relaxation is not None:
            errors.append("source_relaxation: has no meaning with 'plan: sparse'")
        if self.plan == "sparse" and self.gradient != "implicit":
            errors.append("gradient: has no meaning with 'plan: sparse'; leave it out")
        if self.gradient == "envelope" and self.sparsity_weight > 0:
            errors.append(
                "gradient: 'envelope' holds the plan constant and so gives the sparsity term no "
                "gradient; set 'sparsity_weight: 0' or use 'implicit'"
            )
        return errors

    def build(self) -> OTRegularizer:
        """The regularizer; imports torch."""
        from espnet_otreg.regularizers.otreg_loss import OTRegularizer

        return OTRegularizer(**self.settings())
