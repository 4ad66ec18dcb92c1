"""Continuous diffusion for categorical data, usable without ESPnet."""

from espnet_fsqdiff.diffusion.ema import EMA
from espnet_fsqdiff.diffusion.generate import GuidedDenoiser, generate
from espnet_fsqdiff.diffusion.loss import CDCDLoss, Draw
from espnet_fsqdiff.diffusion.network import CDCDNetwork
from espnet_fsqdiff.diffusion.samplers import ddim
from espnet_fsqdiff.diffusion.schedule import (
    SCHEDULES,
    CosineSchedule,
    LinearSchedule,
    Schedule,
    VarianceExplodingSchedule,
    uniform_times,
)

__all__ = [
    "CDCDLoss",
    "CDCDNetwork",
    "CosineSchedule",
    "Draw",
    "EMA",
    "GuidedDenoiser",
    "LinearSchedule",
    "SCHEDULES",
    "Schedule",
    "VarianceExplodingSchedule",
    "ddim",
    "generate",
    "uniform_times",
]
