"""How figures look; matplotlib is imported when one is drawn."""

from pathlib import Path

from espnet_fsqdiff.files import atomic_path

INK = "#22303c"
COLOURS = ["#b4532a", "#2a6f97", "#6a8d3a", "#8c5aa8", "#b08900", "#4d4d4d"]


def new_figure(width: float, height: float):
    """A figure without display or global state, and with fixed SVG ids."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    matplotlib.rcParams["svg.hashsalt"] = "fsq"
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure, path: Path) -> None:
    """Write `path`.png and `path`.svg."""
    for kind in ("png", "svg"):
        with atomic_path(path.with_name(f"{path.name}.{kind}")) as aside:
            metadata = {"Date": None} if kind == "svg" else None
            figure.savefig(
                aside, format=kind, dpi=130, facecolor="white", metadata=metadata
            )


def tidy(axis, title: str, xlabel: str = "", ylabel: str = "") -> None:
    """Name an axis and take away what is not needed."""
    axis.set_title(title, loc="left", fontsize=9, color=INK)
    axis.set_xlabel(xlabel, fontsize=8, color=INK)
    axis.set_ylabel(ylabel, fontsize=8, color=INK)
    axis.tick_params(labelsize=7, colors=INK)
    axis.grid(alpha=0.25, lw=0.5)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
