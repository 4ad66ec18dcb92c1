"""Continuous diffusion for categorical data, usable without ESPnet."""

from espnet_fsqdiff.diffusion.ema import EMA
from espnet_fsqdiff.diffusion.generate import GuidedDenoiser, Sampling, generate
from espnet_fsqdiff.diffusion.loss import CDCDLoss, Draw
from espnet_fsqdiff.diffusion.network import CDCDNetwork
from espnet_fsqdiff.diffusion.samplers import (
    SAMPLERS,
    churn,
    ddim,
    dpm_solver_2m,
    hard_rounding,
)
from espnet_fsqdiff.diffusion.schedule import (
    SCHEDULES,
    CosineSchedule,
    LinearSchedule,
    Schedule,
    VarianceExplodingSchedule,
)
from espnet_fsqdiff.diffusion.times import InformationCurve, uniform_times

__all__ = [
    "CDCDLoss",
    "CDCDNetwork",
    "CosineSchedule",
    "Draw",
    "EMA",
    "GuidedDenoiser",
    "InformationCurve",
    "LinearSchedule",
    "SAMPLERS",
    "SCHEDULES",
    "Sampling",
    "Schedule",
    "VarianceExplodingSchedule",
    "churn",
    "ddim",
    "dpm_solver_2m",
    "generate",
    "hard_rounding",
    "uniform_times",
]
