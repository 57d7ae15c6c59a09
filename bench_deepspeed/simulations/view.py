"""Simulations as tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench_deepspeed.core.errors import named
from bench_deepspeed.core.json_files import parse_json, read_bytes
from bench_deepspeed.report.tables import grid


def generator_row(row: dict, _content: dict) -> dict[str, str]:
    """Column title → cell of one rate in the proof of the load generator."""
    return {
        "requests/s": f"{row['rate']:,g}",
        "known E2E": f"{row['e2e_s']:g} s",
        "requests": f"{row['requests']:,}" + (f", {row['failed']} failed" if row["failed"] else ""),
        "most at once": f"{row['most_in_flight']:,}",
        "E2E p50, p99 beyond the known": f"{row['e2e_p50_error']:+.2%}, {row['e2e_p99_error']:+.2%}",
        "TTFT p50, p99": f"{row['ttft_p50_error']:+.2%}, {row['ttft_p99_error']:+.2%}",
        "lag p99": f"{1e3 * row['lag_p99_s']:.2f} ms",
        "server's": "not known" if (lag_s := row["server_lag_p99_s"]) is None else f"{1e3 * lag_s:.2f} ms",
        "CPU": f"{row['cpu_share']:.0%}",
        "right": "yes" if row["right"] else "no",
    }


def saturation_row(row: dict, content: dict) -> dict[str, str]:
    """Column title → cell of one kind of queue in the simulation of the rule for saturation."""
    runs, found = content["runs"], row["brackets"]
    states = zip(content["utilizations"], row["states"], strict=True)
    return {
        "served": row["served"],
        "services in the window": str(row["services"]),
        **{f"at {u:g}": f"{s['sustained'] / runs:.1%}, {s['not sustained'] / runs:.1%}" for u, s in states},
        "lower end ∕ capacity": _end(found, "low", "above", runs),
        "upper end ∕ capacity": _end(found, "high", "below", runs),
    }


def _end(found: dict, end: str, wrong: str, runs: int) -> str:
    """The mean of one end of the brackets, how many have it, and how many of all are on the wrong side of 1."""
    mean, told = found[f"{end}_mean"], found[f"{end}_{wrong}"] / runs
    where = "none" if mean is None else f"{mean:.2f}"
    return f"{where}; found in {found[f'{end}_found'] / runs:.1%}, {wrong} 1 in {told:.1%}"


def slo_row(row: dict, content: dict) -> dict[str, str]:
    """Column title → cell of one objective and queue in the simulation of searches."""
    runs, mean = content["runs"], row["mean_of_highest"]
    return {
        "served": row["served"],
        "objective": row["slo"],
        "requests in the window": f"{row['requests']:,}",
        "highest utilization": f"{row['highest_utilization']:.2f}",
        "found": f"{row['found'] / runs:.0%}",
        "found ∕ highest, mean": "none" if mean is None else f"{mean:.2f}",
        "found above it": f"{row['above'] / runs:.1%}, by more than 10% {row['far_above'] / runs:.1%}",
        "levels, mean": f"{row['mean_levels']:.1f}",
    }


def percentiles_row(row: dict, content: dict) -> dict[str, str]:
    """Column title → cell of one kind of latencies in the simulation of percentiles."""
    cells = {"latencies": row["latencies"], "utilization": f"{row['utilization']:g}" if row["utilization"] else ""}
    for percent, counts in row["percentiles"].items():
        shown = counts["shown"]
        held = f"{counts['held'] / shown:.0%}" if shown else "none"
        cells[f"p{percent} shown"] = f"{shown / content['trials']:.0%}"
        cells[f"p{percent} held"] = f"{held} ({counts['held_as_independent'] / content['trials']:.0%})"
    return cells


def coverage_row(row: dict, _content: dict) -> dict[str, str]:
    """Column title → cell of one noise and number of processes in the coverage study."""
    runs, wrong = row["runs"], row["runs"] - row["covered"]
    target = f" (until ± {row['target_ci']:.0%})" if row["target_ci"] else ""
    return {
        "noise": row["name"],
        "processes": f"{row['mean_processes']:.3g}{target}",
        "mean half width": f"± {row['mean_relative_half_width']:.1%}",
        "interval holds the truth": f"{row['covered'] / runs:.1%}",
        "wrong": str(wrong),
        "of these warned: by the repetitions": _share(row["wrong_warned"], wrong),
        "by their number": _share(row["wrong_warned_by_number"], wrong),
        "all runs warned by the repetitions": f"{row['warned'] / runs:.1%}",
    }


def noise_row(row: dict, _content: dict) -> dict[str, str]:
    """Column title → cell of one noise of the coverage study: what it is, what is true, and how many can resolve it."""
    seen_from = row["seen_from"]
    return {
        "noise": row["name"],
        "of the time of a generation": row["noise"],
        "true tokens/s": f"{row['truth']:.2f}",
        "resolved by": "no number of processes" if seen_from is None else f"{seen_from} processes",
    }


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "none"


def ab_row(row: dict, content: dict) -> dict[str, str]:
    """Column title → cell of one kind of noise in the simulation of A/B verdicts."""
    trials = row["trials"]
    low, high = row["nothing_interval"]
    return {
        "noise": row["name"],
        "B ∕ A": f"{row['ratio']:g}",
        "pairs × rounds": f"{row['pairs']} × {content['rounds']}",
        "no difference shown": f"{row['nothing'] / trials:.1%} [{low:.1%}, {high:.1%}]",
        "B faster, slower": f"{row['faster'] / trials:.1%}, {row['slower'] / trials:.1%}",
        "mean half width": f"± {row['mean_half_width']:.1%}",
        "interval holds the truth": f"{row['covered'] / trials:.1%}",
        "the usual way: B faster, slower": f"{row['usual_faster'] / trials:.1%}, {row['usual_slower'] / trials:.1%}",
    }


def power_row(row: dict, content: dict) -> dict[str, str]:
    """Column title → cell of one case in the simulation of an A/B's power."""
    trials = row["trials"]
    low, high = row["shown_interval"]
    search = f"--detect {row['detect']:.0%}, {row['pairs']} at first" if row["detect"] is not None else ""
    return {
        "simulated": row["simulated"],
        "pairs differ by": f"{row['deviation']:.1%}",
        "pairs × rounds": f"{search or row['pairs']} × {content['rounds']}",
        "B ∕ A": f"{row['ratio']:.3f}",
        "B faster": f"{row['shown'] / trials:.1%} [{low:.1%}, {high:.1%}]",
        "of equal sides, a difference": f"{row['false'] / trials:.1%}",
        "mean pairs": f"{row['mean_pairs']:.1f}",
        "out of reach": f"{row['out_of_reach'] / trials:.1%}" if search else "",
        "said afterwards, median": f"{row['median_detectable']:.3f}",
    }


def gate_row(row: dict, content: dict) -> dict[str, str]:
    """Column title → cell of one case in the simulation of the gate of `compare`."""
    cells = {"processes differ by": f"{row['spread']:.0%}", "processes": str(row["processes"])}
    for ratio, outcomes in zip(content["ratios"], row["outcomes"], strict=True):
        shares = (f"{outcomes[name] / content['trials']:.1%}" for name in ("shown", "inconclusive", "excluded"))
        cells[f"{ratio:g} × as fast: shown, inconclusive, excluded"] = ", ".join(shares)
    return cells


def host_control_row(row: dict, content: dict) -> dict[str, str]:
    """Column title → cell of one correlation in the simulation of a control variate by the host's loop."""
    titles = {
        "plain": "plain",
        "known": "mean of the loop known",
        "own": "mean of the same processes",
        "loops": f"mean of {content['loops']} other processes",
    }
    cells = {"correlation": f"{row['correlation']:g}", "processes": str(row["processes"])}
    for name, title in titles.items():
        found = row["intervals"][name]
        cells[title] = f"{found['covered'] / content['trials']:.1%}, ± {found['mean_half_width']:.1%}"
    return cells


def soak_row(row: dict, _content: dict) -> dict[str, str]:
    """Column title → cell of one campaign of random faults; the exit codes with how many cases ended in each."""
    codes = sorted(row["codes"].items(), key=lambda item: -item[1])
    return {
        "campaign": row["campaign"],
        "cases": f"{row['cases']:,}",
        "failures": str(len(row["failures"])),
        "exit codes": ", ".join(f"{'traceback' if code == 'None' else code}: {count:,}" for code, count in codes),
        "seed": str(row["seed"]),
        "minutes": f"{row['seconds'] / 60:.0f}",
        "commit": (row["environment"]["commit"] or "not recorded")[:12],
        "Python": row["environment"]["python"],
    }


SIMULATIONS: dict[str, tuple[str, str, Callable[[dict, dict], dict[str, str]]]] = {
    "coverage": ("coverage", "rows", coverage_row),
    "noises": ("coverage", "noises", noise_row),
    "load_generator": ("load_generator", "rows", generator_row),
    "load_openai": ("load_openai", "rows", generator_row),
    "saturation": ("saturation", "rows", saturation_row),
    "slo": ("slo", "rows", slo_row),
    "percentiles": ("percentiles", "rows", percentiles_row),
    "ab": ("ab", "rows", ab_row),
    "power": ("power", "rows", power_row),
    "gate": ("gate", "rows", gate_row),
    "host_control": ("host_control", "rows", host_control_row),
    "soak": ("soak", "rows", soak_row),
}
"""Subject → name of the evidence's file, the key of its rows, and (row, all of the evidence) → column title → cell."""


def simulation_table(content: dict, subject: str = "coverage") -> str:
    """The evidence of a simulation, one row a case."""
    _, key, row_of = SIMULATIONS[subject]
    return grid([row_of(row, content) for row in content[key]])


def table_of_file(folder: Path, subject: str) -> str | None:
    """The table of a saved simulation in that folder; None where there is none."""
    path = folder / f"{SIMULATIONS[subject][0]}.json"
    if not path.exists():
        return None
    with named(path):
        return simulation_table(parse_json(read_bytes(path), path), subject)
