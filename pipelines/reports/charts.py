"""One chart from published rows, as SVG text. Every chart stands beside the table of its figures.

Drawing starts a rendering engine, which takes seconds: a picture of the same figures is taken from the cache folder.
"""

from __future__ import annotations

import hashlib
import html
import json
import os
import re
from pathlib import Path

WIDTH, HEIGHT = 640, 260
COLORS = ["#0b4f9e", "#c05600", "#1b7f5c", "#7b3fa0", "#8a1c1c", "#5b6770", "#006d77"]
SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right"]
MOST_SERIES = len(SHAPES)
DRAWN_LIKE = "3"  # change it when the drawing changes, so that no old picture is used again

Point = tuple[str, str, float | None]  # series, year as it reads, value (None = hidden: the line is broken there)


def trend(points: list[Point], label: str, is_rate: bool, cache: Path | None = None) -> str:
    """SVG of lines over years. `points` in the order of series and years.

    The picture carries `label` as its accessible name. Series differ by shape as well as by color. Errors: ValueError
    when there are more series than shapes.
    """
    series = list(dict.fromkeys(point[0] for point in points))
    if len(series) > MOST_SERIES:
        raise ValueError(f"A chart shows at most {MOST_SERIES} series; here are {len(series)}.")
    return _drawn("trend", points, label, is_rate, cache)


def bars(points: list[Point], label: str, is_rate: bool, cache: Path | None = None) -> str:
    """SVG of horizontal bars, one a series, in the order given. `points` as in `trend`, one for each series."""
    return _drawn("bars", points, label, is_rate, cache)


def _drawn(kind: str, points: list[Point], label: str, is_rate: bool, cache: Path | None) -> str:
    name = hashlib.sha256(json.dumps([DRAWN_LIKE, kind, points, is_rate]).encode()).hexdigest()[:32]
    stored = cache / f"{name}.svg" if cache else None
    if stored and stored.exists():
        return _named(stored.read_text(encoding="utf-8"), label)
    import vl_convert

    chart = _trend(points, is_rate) if kind == "trend" else _bars(points, is_rate)
    svg = _quiet(vl_convert.vegalite_to_svg(chart.to_dict()))
    if stored:
        stored.parent.mkdir(parents=True, exist_ok=True)
        temporary = stored.with_name(f".{stored.name}.part")
        temporary.write_text(svg, encoding="utf-8")
        os.replace(temporary, stored)
    return _named(svg, label)


def _trend(points: list[Point], is_rate: bool):
    import altair as alt

    series = list(dict.fromkeys(point[0] for point in points))
    years = sorted({point[1] for point in points})
    legend = alt.Legend(
        title=None, orient="bottom", columns=2, columnPadding=60, labelLimit=260, labelFontSize=13, symbolSize=90
    )
    data = alt.Data(values=[{"series": each[0], "year": each[1], "value": each[2]} for each in points])
    encoded = alt.Chart(data).encode(
        x=alt.X("year:O", title=None, sort=years, axis=alt.Axis(labelAngle=0, labelFontSize=13)),
        y=alt.Y("value:Q", axis=_axis(is_rate), scale=_scale(is_rate)),
        color=alt.Color("series:N", legend=legend, scale=alt.Scale(domain=series, range=COLORS[: len(series)])),
    )
    lines = encoded.mark_line(strokeWidth=2, invalid="break-paths-show-domains")
    shape = alt.Shape("series:N", legend=legend, scale=alt.Scale(domain=series, range=SHAPES[: len(series)]))
    marks = encoded.mark_point(size=80, filled=True, opacity=1).encode(shape=shape)
    return (lines + marks).properties(width=WIDTH, height=HEIGHT)


def _bars(points: list[Point], is_rate: bool):
    import altair as alt

    order = [point[0] for point in points]
    # The reader's font may be wider than the one that the drawing was measured with.
    extent = min(340, max(9 * len(label) for label in order))
    data = alt.Data(values=[{"series": each[0], "value": each[2]} for each in points])
    return (
        alt.Chart(data)
        .mark_bar(color=COLORS[0])
        .encode(
            x=alt.X("value:Q", axis=_axis(is_rate), scale=_scale(is_rate)),
            y=alt.Y(
                "series:N", title=None, sort=order, axis=alt.Axis(labelLimit=340, minExtent=extent, labelFontSize=13)
            ),
        )
        .properties(width=WIDTH - 200)
    )


def _axis(is_rate: bool):
    import altair as alt

    return alt.Axis(format="%" if is_rate else ",d", title=None, labelFontSize=13)


def _scale(is_rate: bool):
    import altair as alt

    return alt.Scale(domain=[0, 1]) if is_rate else alt.Scale(zero=True)


def _named(svg: str, label: str) -> str:
    return re.sub(r"<svg ", f'<svg role="img" aria-label="{html.escape(label)}" ', svg, count=1)


def _quiet(svg: str) -> str:
    """Without the roles and names of single marks: they repeat the table beside the picture, one by one."""
    head, _, body = svg.partition(">")
    body = re.sub(r' (?:aria-roledescription|aria-label|role|aria-hidden)="[^"]*"', "", body)
    return f"{head}>{body}"
