"""The theory of arXiv 2606.09962 as functions; needs torch and scipy alone."""

from espnet_fsqdiff.theory.accuracy import (
    bayes_error,
    grid_accuracy,
    line_accuracy,
    optimal_accuracy,
    plane_accuracy,
    soft_accuracy,
)
from espnet_fsqdiff.theory.distance import (
    nearest_neighbour_distance,
    nearest_neighbours,
    steepest_rise,
)
from espnet_fsqdiff.theory.neighbours import (
    NeighbourDistance,
    neighbour_mel_distance,
)
from espnet_fsqdiff.theory.path_measure import (
    path_kl,
    path_kl_density,
    path_kl_quadrature,
    path_kl_simulated,
)
from espnet_fsqdiff.theory.points import as_points, grid_points
from espnet_fsqdiff.theory.summary import CodebookSummary, summarize

__all__ = [
    "CodebookSummary",
    "NeighbourDistance",
    "as_points",
    "bayes_error",
    "grid_accuracy",
    "grid_points",
    "line_accuracy",
    "nearest_neighbour_distance",
    "nearest_neighbours",
    "neighbour_mel_distance",
    "optimal_accuracy",
    "path_kl",
    "path_kl_density",
    "path_kl_quadrature",
    "path_kl_simulated",
    "plane_accuracy",
    "soft_accuracy",
    "steepest_rise",
    "summarize",
]
