"""What a control variate by the host's loop would do to a run's interval.

    python -m bench_deepspeed.simulations.host_control [--check]

Each process has a loop time h, normal with mean 1, and a time t = 1 + b (h − 1) + e, with e normal too, so that the
correlation of the two is r, as of the published runs (`host_speed`). True is the mean of t over all processes that the
machine would have. The interval is Student's, of the processes' t (plain), or of t − b̂ (h − h₀) with the slope b̂ of
regression and n − 2 degrees of freedom, its width with the error of b̂ at h₀ (S. S. Lavenberg and P. D. Welch,
Management Science 27, 1981, eq. 14), where the mean h₀ of h is known; that of the run's own processes, taken for
exact; or that of other processes that run the loop alone, with the error of that mean.
"""

from __future__ import annotations

import sys

from bench_deepspeed.core.paths import RESULTS
from bench_deepspeed.simulations import command

EVIDENCE = RESULTS / "simulations" / "host_control.json"
TRIALS = 4000
CORRELATIONS = (0.0, 0.86, 0.95)
PROCESSES = (5, 10)
SPREAD = 0.15
"""Standard deviation of t ∕ its mean, of the order of the published runs' processes."""
LOOPS = 100
"""Other processes that run the loop alone."""


def study(r: float, processes: int, trials: int) -> dict:
    """Of so many runs: how many intervals hold the truth, and their mean half width ∕ the truth, by the way taken."""
    import numpy
    from scipy.stats import t as student

    rng = numpy.random.default_rng([round(100 * r), processes])
    h = rng.normal(1.0, SPREAD, (trials, processes))
    time = 1.0 + r * (h - 1.0) + rng.normal(0.0, SPREAD * (1 - r * r) ** 0.5, (trials, processes))
    off_h, off_t = h - h.mean(axis=1, keepdims=True), time - time.mean(axis=1, keepdims=True)
    squares = (off_h**2).sum(axis=1)
    slope = (off_h * off_t).sum(axis=1) / squares
    left = ((off_t - slope[:, None] * off_h) ** 2).sum(axis=1) / (processes - 2)
    loops = rng.normal(1.0, SPREAD, (trials, LOOPS))
    loops_error = slope**2 * loops.var(axis=1, ddof=1) / LOOPS

    def interval(mean_h, error=0.0) -> tuple:
        away = h.mean(axis=1) - mean_h
        width = numpy.sqrt(left * (1 / processes + away**2 / squares) + error)
        return time.mean(axis=1) - slope * away, student.ppf(0.975, processes - 2) * width

    plain = student.ppf(0.975, processes - 1) * time.std(axis=1, ddof=1) / processes**0.5
    found = {
        "plain": (time.mean(axis=1), plain),
        "known": interval(1.0),
        "own": interval(h.mean(axis=1)),
        "loops": interval(loops.mean(axis=1), loops_error),
    }
    rows = {
        name: {"covered": int((abs(centre - 1.0) <= half).sum()), "mean_half_width": round(float(half.mean()), 6)}
        for name, (centre, half) in found.items()
    }
    return {"correlation": r, "processes": processes, "intervals": rows}


def settings() -> dict:
    return {"trials": TRIALS, "spread": SPREAD, "loops": LOOPS}


def evidence() -> dict:
    """All that is published."""
    return {**settings(), "rows": [study(r, n, TRIALS) for r in CORRELATIONS for n in PROCESSES]}


if __name__ == "__main__":
    sys.exit(command("host_control", __doc__, EVIDENCE, evidence))
