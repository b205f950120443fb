"""One chart from published rows, as SVG text. Every chart stands beside the table of its figures."""

from __future__ import annotations

import re

import altair as alt
import polars as pl

WIDTH, HEIGHT = 640, 260
COLORS = ["#0b4f9e", "#c05600", "#1b7f5c", "#7b3fa0", "#8a1c1c", "#5b6770", "#006d77", "#9c6b00"]


def trend(frame: pl.DataFrame, label: str, is_rate: bool) -> str:
    """SVG of lines over years. `frame`: year INTEGER, series TEXT, value DOUBLE (0–1 where `is_rate`).

    The picture carries `label` as its accessible name; colors are never the only difference, since shapes differ too.
    """
    axis = alt.Axis(format="%" if is_rate else ",d", title=None)
    scale = alt.Scale(domain=[0, 1]) if is_rate else alt.Scale(zero=True)
    chart = (
        alt.Chart(frame.to_pandas())
        .mark_line(point=alt.OverlayMarkDef(size=60), strokeWidth=2)
        .encode(
            x=alt.X("year:O", title="Year", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("value:Q", axis=axis, scale=scale),
            color=alt.Color("series:N", title=None, scale=alt.Scale(range=COLORS)),
            shape=alt.Shape("series:N", title=None),
        )
        .properties(width=WIDTH, height=HEIGHT)
    )
    return _framed(chart, label)


def bars(frame: pl.DataFrame, label: str, is_rate: bool) -> str:
    """SVG of horizontal bars, one a series. `frame` as in `trend`, one year."""
    axis = alt.Axis(format="%" if is_rate else ",d", title=None)
    scale = alt.Scale(domain=[0, 1]) if is_rate else alt.Scale(zero=True)
    chart = (
        alt.Chart(frame.to_pandas())
        .mark_bar(color=COLORS[0])
        .encode(
            x=alt.X("value:Q", axis=axis, scale=scale),
            y=alt.Y("series:N", title=None, sort="-x", axis=alt.Axis(labelLimit=240)),
        )
        .properties(width=WIDTH)
    )
    return _framed(chart, label)


def _framed(chart: alt.Chart, label: str) -> str:
    import vl_convert

    svg = vl_convert.vegalite_to_svg(chart.to_dict())
    escaped = label.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    svg = re.sub(r"<svg ", f'<svg role="img" aria-label="{escaped}" ', svg, count=1)
    return _quiet(svg)


def _quiet(svg: str) -> str:
    """Without the roles and names of single marks: they repeat the table beside the picture, one by one."""
    head, _, body = svg.partition(">")
    body = re.sub(r' (?:aria-roledescription|aria-label|role|aria-hidden)="[^"]*"', "", body)
    return f"{head}>{body}"
