"""Flow matching from speech tokens to mels, usable without ESPnet."""

from espnet_fsqdiff.flow.generate import FlowSampling, GuidedVelocity, generate
from espnet_fsqdiff.flow.loss import FlowDraw, FlowMatchingLoss
from espnet_fsqdiff.flow.network import Condition, TokenEncoder, VelocityNetwork
from espnet_fsqdiff.flow.path import TIME_WARPS, time_grid
from espnet_fsqdiff.flow.solvers import SOLVERS, euler, midpoint

__all__ = [
    "Condition",
    "FlowDraw",
    "FlowMatchingLoss",
    "FlowSampling",
    "GuidedVelocity",
    "SOLVERS",
    "TIME_WARPS",
    "TokenEncoder",
    "VelocityNetwork",
    "euler",
    "generate",
    "midpoint",
    "time_grid",
]
