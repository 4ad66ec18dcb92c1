"""What the tables say about the paper's statements, in words.

Every sentence is chosen and filled in by the numbers; none is fixed beforehand.
"""

from typing import Any, Dict, List, Mapping, NamedTuple, Sequence

Rows = Sequence[Mapping[str, Any]]
Tables = Mapping[str, Rows]

# Differences of log KL and of relative criteria below these count as none.
SAME_LOG_KL = 0.1
SAME_NATS = 0.005
SAME_CRITERION = 0.02


class Verdict(NamedTuple):
    """A statement of the paper, whether it holds, and what shows it."""

    statement: str
    verdict: str
    evidence: str


def path_kl_verdict(tables: Tables) -> Verdict:
    """Statement 4.2."""
    rows = tables["path_kl"]
    quadrature = max(abs(r["quadrature"] / r["closed form"] - 1) for r in rows)
    worst = max(abs(r["deviation / s.e."]) for r in rows)
    holds = quadrature < 1e-6 and worst < 4
    return Verdict(
        "Path measures of two tokens differ by 1/2 |a - b|^2 times an integral over "
        "the schedule (Statement 4.2)",
        "holds as printed" if holds else "not confirmed",
        f"{len(rows)} cases, three schedules: the integral equals SNR(t0) - SNR(1) to "
        f"{quadrature:.0e}; simulated paths deviate by at most {worst:.1f} standard "
        "errors. Of the schedule only the SNR at both ends matters.",
    )


def local_verdict(tables: Tables) -> Verdict:
    """Theorem 4.3."""
    rows = tables["distance_ascent"]
    rise = max(r["steepest rise"] for r in rows)
    moved = max(r["best of 200 small moves"] / r["grid"] for r in rows)
    near = max(r["from near the grid"] / r["grid"] for r in rows)
    holds = rise < 1e-7 and moved < 1 + 1e-9 and near < 1 + 1e-6
    return Verdict(
        "The FSQ grid is a local maximum of D(E) (Theorem 4.3)",
        "holds as printed" if holds else "not confirmed",
        f"{len(rows)} grids: no direction raises D at first order (largest rate "
        f"{rise:.0e}, by linear programming); ascent from nearby ends at "
        f"{near:.5f} of the grid's D at most.",
    )


def global_verdict(tables: Tables) -> Verdict:
    """Random codebooks never beat the grid - and what does."""
    rows = tables["distance_random"]
    beaten = int(sum(r["beat the grid"] for r in rows))
    total = int(sum(r["codebooks"] for r in rows))
    found = [r for r in tables["distance_ascent"] if r["beats the grid"] == "yes"]
    lattices = tables["lattices"]
    e8 = next(
        r for r in lattices if (r["family"], r["base"], r["n"]) == ("cosets", 3, 8)
    )
    gain = e8["path KL / grid's"] - 1
    least = min(lattices, key=lambda r: r["points of the grid"])
    ascents = "; ".join(
        f"base {r['base']:g}, n = {r['n']:g}: D = {r['from random starts']:.4f} "
        f"against {r['grid']:g}"
        for r in found
    )
    return Verdict(
        "Random codebooks never exceed the D(E) of FSQ; FSQ is optimal",
        (
            "the experiment holds, the conclusion only locally"
            if not beaten
            else "does not hold"
        ),
        f"{beaten} of {total} random codebooks beat the grid, but {len(lattices)} "
        "lattice codebooks of up to 6 levels and 8 dimensions do: two cosets of E8 "
        f"have {e8['points']:g} points {e8['measured']:.4f} apart where the 3^8 grid "
        f"has 1, {100 * gain:.0f} % more path KL; the smallest case is base "
        f"{least['base']:g}, n = {least['n']:g}. "
        + (f"Gradient ascent on D: {ascents}." if ascents else "Ascents found none."),
    )


def printed_accuracy_verdict(tables: Tables) -> Verdict:
    """The two printed accuracies; r, which is not printed, comes of the first."""
    rows = tables["accuracy_printed"]
    worst = max(
        abs(r["closed form, %"] - r["Monte Carlo, %"]) / r["standard error"]
        for r in rows
    )
    fits = all(
        abs(r["closed form, %"] - r["paper, %"]) < 0.006
        for r in rows
        if r["paper, %"] is not None
    )
    random = [r for r in tables["accuracy_random"] if r["base"] == 2]
    printed = random[0]["paper's largest, %"]
    best = "; ".join(f"{r['drawn']}: {r['largest, %']:.2f} %" for r in random)
    beaten = sum(r["beat the grid"] for r in tables["accuracy_random"])
    holds = fits and worst < 4 and not beaten
    return Verdict(
        "Accuracies of the grid and of random codebooks (38.18 % against 37.39 %)",
        "holds at the r that the grid's figure gives" if holds else "differs",
        "The paper prints no r; 0.3 was chosen for the closed form to give the grid's "
        "38.18 %, so that this figure is no test of it. Monte Carlo deviates from the "
        f"closed form by at most {worst:.1f} standard errors on {len(rows)} grids. "
        f"Best of {random[0]['codebooks']:g} random codebooks ({best}; printed: "
        f"{printed:.2f} %); "
        + (f"{beaten:g} beat the grid." if beaten else "none beat the grid."),
    )


def line_verdict(tables: Tables) -> Verdict:
    """Optimal accuracy in one dimension."""
    rows = tables["accuracy_line"]
    best = max(r["best - grid"] for r in rows)
    return Verdict(
        "In one dimension the grid has the largest accuracy at every t (proved)",
        "holds as printed" if best < 1e-9 else "does not hold",
        f"K = 2 .. 9: optimised positions exceed the grid by {best:.0e} at most. A is "
        "concave and symmetric in the gaps.",
    )


def hypothesis_verdict(tables: Tables) -> Verdict:
    """The optimal accuracy hypothesis."""
    small = [r for r in tables["small_noise"] if r["difference"] > 1e-7]
    large = [r for r in tables["crossings"] if r["more accurate from r"] is not None]
    searched = [r for r in tables["search"] if r["beats the grid"] == "yes"]
    evidence = ""
    if small:
        at = max(small, key=lambda r: r["r"])
        example = max(small, key=lambda r: r["difference"])
        evidence += (
            f"Base 3, n = 2: cutting one edge in three and giving up the centre is "
            f"better up to r = {at['r']:g} at least (r = {example['r']:g}: "
            f"{100 * example['A of the split edge']:.4f} % against "
            f"{100 * example['A of the grid']:.4f} %); products of it beat 3^8 too. "
        )
    for row in large:
        evidence += (
            f"{row['codebook']}: better from r = {row['more accurate from r']:.2f} "
            f"on, where A = {row['where A is']:.4f}. "
        )
    cases = {(r["base"], r["n"], r["r"]) for r in tables["search"]}
    better = {(r["base"], r["n"], r["r"]) for r in searched}
    evidence += (
        f"Ascent on A found something better in {len(better)} of {len(cases)} cases."
    )
    return Verdict(
        "FSQ maximises the prediction accuracy at every t (hypothesis)",
        "does not hold at every t" if small or large else "no counterexample found",
        evidence,
    )


def prior_verdict(tables: Tables, r: float = 3.0) -> Verdict:
    """Unequal priors."""
    rows = {x["codebook"]: x for x in tables["priors"] if x["r"] == r}
    order = sorted(rows, key=lambda name: -rows[name]["A, real prior"])
    listed = ", ".join(f"{name} {rows[name]['A, real prior']:.3f}" for name in order)
    grid, other = rows["fsq"], rows["permuted"]
    error = (grid["standard error"] ** 2 + other["standard error"] ** 2) ** 0.5
    gap = other["A, real prior"] - grid["A, real prior"]
    direction = "rises" if gap > 0 else "falls"
    says = (
        f"dealing the points to other tokens, which changes nothing under equal "
        f"priors, now matters: A {direction} by {abs(gap):.3f} ({abs(gap) / error:.0f} "
        "standard errors) for a random deal"
        if abs(gap) > 3 * error
        else "a random deal of the points changes A within the error only"
    )
    return Verdict(
        "Unequal priors (left open by the paper)",
        "the grid as dealt is not optimal" if order[0] != "fsq" else "the grid leads",
        f"Real token frequencies, r = {r:g}, A: {listed}; {says}.",
    )


def toy_verdict(tables: Tables) -> Verdict:
    """Original against perturbed in generation."""
    better, worse, unclear = [], [], []
    rows = tables["toy"]
    for toy in dict.fromkeys(x["toy"] for x in rows):
        own = [x for x in rows if x["toy"] == toy]
        last = max(x["steps"] for x in own)
        by_book = {x["codebook"]: x for x in own if x["steps"] == last}
        if "perturbed" not in by_book:
            continue
        grid, moved = by_book["fsq"], by_book["perturbed"]
        if grid["high"] < moved["low"]:
            better.append(toy)
        elif moved["high"] < grid["low"]:
            worse.append(toy)
        else:
            unclear.append(toy)
    return Verdict(
        "Toy generation: the original grid has a lower KL than a perturbed one",
        "holds" if better and not worse else "holds in part" if better else "not seen",
        f"At the most steps: lower in {_list(better)}; higher in {_list(worse)}; "
        f"intervals overlap in {_list(unclear)}.",
    )


def _list(names: Sequence[str]) -> str:
    return "; ".join(names) if names else "none"


def _sign(value: float, same: float) -> int:
    return 0 if abs(value) < same else 1 if value > 0 else -1


def criteria_table(tables: Tables) -> List[Dict[str, Any]]:
    """How often a criterion names the better of a codebook and the grid.

    For every toy and codebook whose criterion differs from the grid's by more than
    2 %: does the one of the larger D (or A) also end with the lower log KL (or
    cross-entropy)? Outcomes closer than 0.1 in log KL or 0.005 nats count as
    undecided.
    """
    rows = tables["criteria"]
    grid = {r["toy"]: r for r in rows if r["codebook"] == "fsq"}
    found = []
    for criterion in ("D", "A"):
        for outcome, same in (("log KL", SAME_LOG_KL), ("cross-entropy", SAME_NATS)):
            count = {1: 0, 0: 0, -1: 0}
            for row in rows:
                own = grid[row["toy"]]
                says = _sign(row[criterion] / own[criterion] - 1, SAME_CRITERION)
                if row["codebook"] in ("fsq", "permuted") or not says:
                    continue
                count[says * _sign(own[outcome] - row[outcome], same)] += 1
            found.append(
                {
                    "criterion": criterion,
                    "outcome": outcome,
                    "right": count[1],
                    "wrong": count[-1],
                    "undecided": count[0],
                }
            )
    return found


def criteria_verdict(tables: Tables) -> Verdict:
    """D or A: which predicts training?"""
    score = {
        (r["criterion"], r["outcome"]): r["right"] - r["wrong"]
        for r in criteria_table(tables)
    }
    totals = {c: score[c, "log KL"] + score[c, "cross-entropy"] for c in ("D", "A")}
    leader = (
        "neither more than the other"
        if totals["D"] == totals["A"]
        else max(totals, key=totals.get)
    )
    grid = {r["toy"]: r for r in tables["criteria"] if r["codebook"] == "fsq"}
    dense = [
        f"{r['toy']}, {r['codebook']}: D {r['D'] / grid[r['toy']]['D'] - 1:+.0%}, "
        f"A {r['A'] / grid[r['toy']]['A'] - 1:+.0%}, log KL "
        f"{r['log KL'] - grid[r['toy']]['log KL']:+.2f}, cross-entropy "
        f"{r['cross-entropy'] - grid[r['toy']]['cross-entropy']:+.3f}"
        for r in tables["criteria"]
        if r["codebook"] in ("e8", "d4")
    ]
    dealt = [
        f"{r['toy']}: log KL {r['log KL'] - grid[r['toy']]['log KL']:+.2f}, "
        f"cross-entropy {r['cross-entropy'] - grid[r['toy']]['cross-entropy']:+.3f}"
        for r in tables["criteria"]
        if r["codebook"] == "permuted"
    ]
    return Verdict(
        "Which criterion predicts success in training?",
        f"{leader}" if leader.startswith("neither") else f"{leader} more often",
        "Lattices with more D and less A than the grid, against the grid: "
        f"{'; '.join(dense)}. A permuted grid has the D and A of the grid and yet: "
        f"{'; '.join(dealt)}. Neither criterion sees how tokens depend on each other.",
    )


def verdicts(tables: Tables) -> List[Verdict]:
    """All of them, in the paper's order."""
    return [
        path_kl_verdict(tables),
        local_verdict(tables),
        global_verdict(tables),
        printed_accuracy_verdict(tables),
        line_verdict(tables),
        hypothesis_verdict(tables),
        prior_verdict(tables),
        toy_verdict(tables),
        criteria_verdict(tables),
    ]
