# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The paper's Figure 4 with the online way in it: CIDEr-D against decodes per second, from the report of a study alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .selective import CLOCK_RATE, MEASURES, ONLINE, SHIPPED

STYLE = {  # colour, dashes; pooled ways are dashed in the colour of their exact twin
    "uniform": ("#6b7280", "-"),
    "uniform pooled": ("#6b7280", (0, (4, 2))),
    "ward": ("#2563eb", "-"),
    "ward pooled": ("#2563eb", (0, (4, 2))),
    ONLINE: ("#c2410c", "-"),
}
LABEL = {
    "uniform": "uniform",
    "uniform pooled": "uniform, pooled",
    "ward": "offline Ward",
    "ward pooled": "offline Ward, pooled",
    ONLINE: "online (ours)",
}
TITLE = {"nearest": "words nearest in time (the paper's matching)", "latest": "latest words said by then"}
AXIS = {"cider_d": "CIDEr-D\nrare over all streams", "cider_d_in_stream": "CIDEr-D\nrare within the stream"}
TICKS = (2.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
INK = "#374151"
NAMES = 0.42  # room for the names beside the curves, as a share of the curves' width


def draw(report: dict, file: Path) -> None:
    """Write the curves of all matchings (columns) and measures (rows) to `file`, whose suffix chooses the format."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    with plt.rc_context({"font.size": 9, "axes.edgecolor": "#9ca3af", "svg.fonttype": "none"}):
        figure, grid = plt.subplots(
            len(MEASURES), len(TITLE), figsize=(11.5, 7.8), sharex=True, sharey="row", squeeze=False, layout="constrained"
        )
        for row, measure in zip(grid, MEASURES):
            for axes, matching in zip(row, TITLE):
                _panel(axes, report[matching][measure])
            row[0].set_ylabel(AXIS[measure])
        for axes, title in zip(grid[0], TITLE.values()):
            axes.set_title(title, loc="left", fontsize=10, color=INK)
        for axes in grid[-1]:
            axes.set_xlabel("decodes per second")
        figure.suptitle(
            f"Selective decoding on {report['streams']} tabletop streams ({report['seconds'] / 60:.0f} min, "
            f"{report['boundaries_per_s']:.2f} boundaries per s, {report['references']} references). "
            "Band: 95 % interval over streams",
            x=0.01, ha="left", fontsize=10.5, color=INK,
        )  # fmt: skip
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file, dpi=150, facecolor="white")
        plt.close(figure)


def _panel(axes, found: dict) -> None:
    axes.set_xscale("log")
    starts, ends = [], {}
    for name, (colour, dashes) in STYLE.items():
        points = sorted((p for p in found["ways"][name] if p["decodes_per_s"] > 0), key=lambda p: p["decodes_per_s"])
        if not points:
            continue
        x, y = [p["decodes_per_s"] for p in points], [p["score"]["value"] for p in points]
        ours = name == ONLINE
        if ours:
            low, high = ([p["score"][end] for p in points] for end in ("low", "high"))
            axes.fill_between(x, low, high, color=colour, alpha=0.13, linewidth=0, zorder=1)
        width, over = (2.2, 4) if ours else (1.3, 3)
        axes.plot(x, y, color=colour, linestyle=dashes, linewidth=width, marker="o", markersize=3, zorder=over)
        starts.append(x[0])
        ends[name] = (x[-1], y[-1])
    axes.minorticks_off()
    axes.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
    slowest, fastest = min(starts), max(x for x, _ in ends.values())
    axes.set_xlim(0.9 * slowest, fastest * (fastest / slowest) ** NAMES)
    axes.grid(axis="y", color="#e5e7eb", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    _target(axes, found)
    for shipped in found["ways"][SHIPPED]:
        at = shipped["decodes_per_s"], shipped["score"]["value"]
        axes.plot(*at, marker="D", markersize=7, color=STYLE[ONLINE][0], markeredgecolor="white", zorder=6)
        axes.annotate("as shipped", at, (-7, 10), textcoords="offset points", ha="right", color=STYLE[ONLINE][0], fontsize=8)
    _labels(axes, ends)


def _target(axes, found: dict) -> None:
    """What the clock reaches, and how many times fewer decodes the online way needs for it."""
    reduction = found["reduction"][ONLINE]
    axes.axhline(reduction["clock_score"], xmax=1 / (1 + NAMES), color=INK, linewidth=0.7, linestyle=(0, (1, 2)), zorder=2)
    figure = reduction["times_fewer"]
    if figure["value"] is None:
        said = f"online never reaches uniform at {CLOCK_RATE:g} per s"
    else:
        least = "at least " if reduction["at_least"] else ""
        low, high = (f"{figure[end]:.2g}" if figure[end] else "never" for end in ("low", "high"))
        said = f"uniform at {CLOCK_RATE:g} per s (dotted) is reached with {least}{figure['value']:.2g} times fewer decodes\n"
        said += f"95 % interval {low} to {high}"
        axes.plot(reduction["decodes_per_s"], reduction["clock_score"], marker="|", markersize=14, color=INK, zorder=5)
    axes.text(0.015, 0.985, said, transform=axes.transAxes, va="top", fontsize=8, color=INK)


def _labels(axes, ends: dict[str, tuple[float, float]]) -> None:
    """Each curve's name at its right end, moved apart where ends lie close."""
    axes.margins(y=0.14)
    axes.autoscale_view(scalex=False)
    bottom, top = axes.get_ylim()
    step = 0.055 * (top - bottom)
    names = sorted(ends, key=lambda name: ends[name][1])
    places = np.array([ends[name][1] for name in names])
    for _ in range(100):
        for i in range(len(places) - 1):
            overlap = step - (places[i + 1] - places[i])
            if overlap > 0:
                places[i : i + 2] += np.array([-overlap, overlap]) / 2
    x_names = 1.35 * max(x for x, _ in ends.values())
    for name, place in zip(names, places):
        x, y = ends[name]
        colour = STYLE[name][0]
        axes.annotate(
            LABEL[name], (x, y), (x_names, place), textcoords="data", va="center", fontsize=8.5, color=colour,
            fontweight="bold" if name == ONLINE else "normal",
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.6, "shrinkB": 3},
        )  # fmt: skip
