from __future__ import annotations

from functools import partial
from pathlib import Path

from bench_deepspeed.core.errors import MachineError
from bench_deepspeed.measure.records import Profile
from bench_deepspeed.report import svg

from .profile_view import COLOURS, INK, LABELLED, _headline, _rounded_ms, _share, state, step_parts, text


def figure(profiles: list[Profile], title: str):
    """A matplotlib Figure: one bar a phase over the wall time of its step. Transparent, for light and dark pages."""
    from matplotlib.figure import Figure

    picture = Figure(figsize=(10, 0.7 + 2.3 * len(profiles)), layout="constrained")
    picture.get_layout_engine().set(w_pad=0.15, h_pad=0.1)
    picture.suptitle(title, x=0.0275, ha="left", fontsize=16, fontweight="bold", color=INK)
    axes = picture.subplots(len(profiles), squeeze=False)[:, 0]
    for profile, axis in zip(profiles, axes, strict=True):
        _draw(axis, profile)
    return picture


def _draw(axis, profile: Profile) -> None:
    """One phase's bar, its state above it, and each part's figures below. What is idle is an empty frame."""
    start, whole = 0.0, sum(step_parts(profile).values())
    for name, seconds in step_parts(profile).items():
        colour = COLOURS.get(name)
        look = {"facecolor": colour or "none", "edgecolor": colour or INK}
        label = f"{name}  {_rounded_ms(seconds)} ({_share(seconds, profile)})"
        bar = axis.barh(0, 1e3 * seconds, left=1e3 * start, height=1, label=label, clip_on=False, **look)
        if seconds > LABELLED * whole:
            shown = {"color": "white" if colour else INK, "fontweight": "bold"}
            axis.bar_label(bar, [_share(seconds, profile)], label_type="center", **shown)
        start += seconds
    axis.set_title(state(profile), loc="left", fontsize=13, fontweight="bold", color=INK, pad=22)
    axis.annotate(_headline(profile), (0, 1), (0, 7), "axes fraction", "offset points", color=INK)
    axis.set_xlim(0, 1e3 * whole or 1)
    axis.xaxis.set_major_formatter("{x:g} ms")
    axis.set_yticks([])
    axis.tick_params(colors=INK)
    axis.spines[["left", "top", "right"]].set_visible(False)
    axis.spines["bottom"].set_color(INK)
    axis.legend(loc="upper left", bbox_to_anchor=(-0.01, -0.25), ncols=3, frameon=False, labelcolor=INK, fontsize=9)


def write(folder: Path, profiles: list[Profile], title: str) -> None:
    """Write profile.txt, profile.svg and profile.png. Raises MachineError when the text cannot be written."""
    try:
        (folder / "profile.txt").write_text(f"{title}\n\n{text(profiles)}", encoding="utf-8")
    except OSError as error:
        raise MachineError(f"cannot write the profile to {folder}: {error.strerror}") from error
    svg.write(folder, {"profile": partial(figure, profiles, title)})
