"""Markdown tables, line by line: a long run shows what it has."""

from typing import Iterable, Iterator, Sequence


def row(cells: Sequence[str]) -> str:
    """One line of a table."""
    return "| " + " | ".join(cells) + " |"


def table(heads: str, rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Lines of a table: heads separated by `|`, then rows as they come."""
    names = heads.split("|")
    yield row(names)
    yield row(["---"] + ["--:"] * (len(names) - 1))
    yield from map(row, rows)
    yield ""


def share(x: float) -> str:
    """A share in percent; 100 % only if it is all."""
    return "100 %" if x == 1 else f"{min(100 * x, 99.9):.1f} %"
