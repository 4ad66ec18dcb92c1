"""Markdown tables."""

from typing import Sequence


def table(heads: str, rows: Sequence[Sequence[str]]) -> str:
    """Heads separated by `|`, and rows of cells."""
    names = heads.split("|")
    lines = [names, ["---"] + ["--:"] * (len(names) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def share(x: float) -> str:
    """A share in percent; 100 % only if it is all."""
    return "100 %" if x == 1 else f"{min(100 * x, 99.9):.1f} %"
