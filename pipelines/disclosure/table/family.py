"""Read `family.yml` and a table of counts; build the codes, the sums and the dense table of every cell.

What belongs here: what the declaration and the file say, and whether they fit together. What does not: which cells
must be hidden (protect), and what a reader can compute (attack). Both read their table here and nowhere else.

Shape of everything: a table is the product of all codes of all dimensions. Its sums are, for each dimension, each
relation of it (a code is the sum of other codes), crossed with every combination of codes of the other dimensions.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from math import prod
from pathlib import Path

import numpy as np
import polars as pl
import yaml
from pyarrow import parquet
from scipy import sparse

from pipelines.errors import MissingFileError, P20wError

HIDDEN = -1  # in Table.value: a count that the reader is not told
LARGEST_COUNT = 10**12  # beyond this, sums of floating point solvers would no longer be whole numbers
DECOY_SHARE = Fraction(1, 20)  # where the family does not say; measured to hide next to nothing more
LARGEST_TABLE = 200_000_000  # cells; a larger product is a mistake in the declaration or needs another machine
RESERVED = ("status", "low", "high", "method")  # columns that the commands write
EMPTY = " A hidden count must be left empty."
LEFT_OUT = "If rows of hidden cells were left out, add them: status hidden, count empty"
MEASURE, COMPLEMENT = "measure", "complement"  # with a numerator: the dimension of what is counted, and its last code
SHARE_COLUMNS = (MEASURE, COMPLEMENT, "at_least", "at_most")  # columns written where there is a numerator


@dataclass(frozen=True)
class Declared:
    """One entry of `dimensions`. parents: columns from fine to coarse; breakdowns: lists of codes; one is empty."""

    column: str
    total: str
    parents: tuple[str, ...]
    breakdowns: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Band:
    """From a count of `first`, a share of `ends` or less, or of 1 - `ends` or more, is told as a band."""

    first: int
    ends: Fraction


@dataclass(frozen=True)
class Family:
    """What `family.yml` says. minimum: n, in people; interval: the least width that a hidden cell must keep.

    numerator: the column of a count out of `count`, "" where there is none; bands: by ascending `first`. decoy_share:
    of the counts from n to a few times n, the share that is hidden as if it were small.
    """

    count: str
    minimum: int
    zeros_shown: bool
    interval: int
    dimensions: tuple[Declared, ...]
    numerator: str = ""
    bands: tuple[Band, ...] = ()
    decoy_share: Fraction = DECOY_SHARE

    def ends(self, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Per count, the largest numerator of the low band and the least of the high one; -1 and count + 1 if none."""
        low, high = np.full(count.shape, -1, dtype=np.int64), count + 1
        for band in self.bands:
            most = count * band.ends.numerator // band.ends.denominator
            low, high = np.where(count >= band.first, most, low), np.where(count >= band.first, count - most, high)
        return low, high

    def ranges(self, count: np.ndarray, numerator: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What a hidden numerator's band says of it beside a shown count: least and most. 0 and count where no band."""
        low, high = self.ends(count)
        in_low, in_high = numerator <= low, numerator >= high
        return (
            np.where(in_high, high, np.where(in_low, 0, low + 1)),
            np.where(in_low, low, np.where(in_high, count, high - 1)),
        )


@dataclass(frozen=True)
class Dimension:
    """Codes of one dimension and its relations.

    codes: every code, the total first, then coarse to fine. level: per code "total", the name of its parents column,
    "breakdown 1" and so on, or the dimension's own column. parent, start, member (indices into codes): relation r says
    code parent[r] = sum of codes member[start[r]:start[r + 1]]; relations come in an order in which every member that
    is itself a parent was computed before. parents: names of the parents columns; up: for each of them one text per
    code, "" where the code has no such parent.
    """

    column: str
    total: str
    codes: list[str]
    level: list[str]
    parent: np.ndarray
    start: np.ndarray
    member: np.ndarray
    parents: tuple[str, ...] = ()
    up: tuple[list[str], ...] = ()

    def members_by_size(self, weight: np.ndarray) -> list[list[int]]:
        """Per relation its members, the largest first. weight: people per code."""
        return [
            sorted(self.member[a:b].tolist(), key=lambda code: (-weight[code], code))
            for a, b in zip(self.start[:-1], self.start[1:], strict=True)
        ]

    def finest(self) -> np.ndarray:
        """Per code, whether it is no sum of others."""
        found = np.ones(len(self.codes), dtype=bool)
        found[self.parent] = False
        return found


@dataclass(frozen=True)
class Table:
    """value: int64, one axis per dimension in the order of its codes; HIDDEN where a protected file does not say.

    With a numerator the last dimension is MEASURE: count = numerator + complement. least, most: what a protected file
    says of hidden cells by bands, shape of value; least is HIDDEN where it says nothing; None without numerator.
    """

    family: Family
    dimensions: list[Dimension]
    value: np.ndarray
    least: np.ndarray | None = None
    most: np.ndarray | None = None


def read_family(path: Path) -> Family:
    """The declaration in a YAML file. Raises P20wError for a missing, unknown, repeated or senseless entry."""
    if not path.is_file():
        raise MissingFileError(f"There is no family file {path}.")
    try:
        # Every scalar stays text: a code 007 or `no` must not become a number or a truth value.
        said = yaml.load(path.read_text(encoding="utf-8"), Loader=_Text)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = f", line {error.problem_mark.line + 1}" if getattr(error, "problem_mark", None) else ""
        raise P20wError(f"{path.name} is not YAML in UTF-8{where}: correct it there.") from None
    at = path.name
    _keys(said, at, {"count", "minimum", "zeros", "dimensions"}, {"interval", "numerator", "bands", "decoy_share"})
    zeros = _text(said["zeros"], f"{at}: zeros")
    if zeros not in {"shown", "hideable"}:
        raise P20wError(f"{at}: zeros must be shown or hideable, not '{zeros}'.")
    if not isinstance(said["dimensions"], list) or not said["dimensions"]:
        raise P20wError(f"{at}: dimensions must be a list with at least one dimension.")
    family = Family(
        count=_text(said["count"], f"{at}: count"),
        minimum=_whole(said["minimum"], f"{at}: minimum"),
        zeros_shown=zeros == "shown",
        interval=_whole(said.get("interval", "3"), f"{at}: interval"),
        dimensions=tuple(_declared(each, f"{at}, dimension {i}") for i, each in enumerate(said["dimensions"], 1)),
        numerator=_text(said["numerator"], f"{at}: numerator") if "numerator" in said else "",
    )
    if "decoy_share" in said:
        family = replace(family, decoy_share=_decoy_share(said["decoy_share"], f"{at}: decoy_share"))
    if "bands" in said:
        family = replace(family, bands=_bands(said["bands"], at, family))
    columns = [family.count, *([family.numerator] if family.numerator else [])]
    for each in family.dimensions:
        columns += [each.column, *each.parents]
    for name in columns:
        if columns.count(name) > 1:
            raise P20wError(f"{at} names the column {name} twice: every column has one part in a family.")
        if name in RESERVED or (family.numerator and name in SHARE_COLUMNS):
            raise P20wError(f"{at} names the column {name}, which the result needs for itself: rename it in the table.")
    return family


def read_counts(path: Path, family: Family) -> Table:
    """The complete exact table behind a CSV or Parquet file: absent totals computed, absent finest combinations 0.

    Raises P20wError for a file or column that cannot be used, a count that is no whole number of 0 or more, a cell
    given twice, codes that the declaration does not explain, and a given total that is not the sum of its parts.
    """
    frame = _read(path, family, with_status=False)
    dimensions, cell = _cells(frame, path, family)
    value = _complete(_counts(frame, path, family, family.count, pl.lit(True)), cell, dimensions, path, family.count)
    if not family.numerator:
        return Table(family, dimensions, value)
    part = _counts(frame, path, family, family.numerator, pl.lit(True))
    part = _complete(part, cell, dimensions, path, family.numerator)
    wrong = np.flatnonzero(part > value)
    if len(wrong):
        at = np.unravel_index(wrong[0], value.shape)
        raise P20wError(
            f"{path.name}: {describe(dimensions, at)} has {family.numerator} {part[at]} of {family.count} {value[at]}"
            f"{_more(len(wrong))}: a numerator is a part of its count."
        )
    return Table(family, [*dimensions, _measure(family)], np.stack([value, part, value - part], axis=-1))


def _complete(number: np.ndarray, cell: np.ndarray, dimensions: list[Dimension], path: Path, column: str) -> np.ndarray:
    """Every cell's exact number from those of some cells. Raises P20wError where a given one is not its parts' sum."""
    value = np.full(prod(len(each.codes) for each in dimensions), HIDDEN, dtype=np.int64)
    value[cell] = number
    value = value.reshape([len(each.codes) for each in dimensions])
    given = value
    value = np.where(value == HIDDEN, 0, value)
    for axis, dimension in enumerate(dimensions):
        value = _summed(value, axis, dimension)
    wrong = np.argwhere((given != HIDDEN) & (given != value))
    if len(wrong):
        at = tuple(wrong[_finest(wrong, dimensions)])
        raise P20wError(
            f"{path.name}: {describe(dimensions, at)} is given as {given[at]}, but its parts sum to {value[at]} in the "
            f"column {column}{_more(len(wrong))}. Correct the table, or leave the totals out: they are computed."
        )
    _check_sums(value, dimensions, path, given == HIDDEN, f" in the column {column}")
    return value


def _measure(family: Family) -> Dimension:
    """The dimension of what is counted: the count is the sum of its numerator and its complement."""
    codes = [family.count, family.numerator, COMPLEMENT]
    relation = np.array([0]), np.array([0, 2]), np.array([1, 2])
    return Dimension(MEASURE, family.count, codes, ["total", MEASURE, MEASURE], *relation)


def read_protected(path: Path, family: Family) -> Table:
    """The table as its readers see it, HIDDEN where it says nothing.

    A cell is hidden where `status` says hidden, or where there is no such column and the count is empty. A combination
    that the file lacks: a 0 if it is finest and zeros are shown; the sum if its parts are shown; else hidden.
    Raises P20wError as read_counts does, and where a hidden cell carries a count or shown cells contradict their sum.
    """
    frame = _read(path, family, with_status=True)
    shown = pl.col(family.count).is_not_null()
    if "status" in frame.columns:
        odd = frame.filter(~pl.col("status").is_in(["shown", "hidden"]).fill_null(False))
        if odd.height:
            raise P20wError(
                f"{path.name}: the column status must say shown or hidden in every row; {odd.height} rows say else, "
                f"the first '{odd['status'][0] or ''}'."
            )
        leaks = frame.filter((pl.col("status") == "hidden") & pl.col(family.count).is_not_null())
        if leaks.height:
            raise P20wError(
                f"{path.name}: {leaks.height} rows are marked hidden but carry a count in {family.count}: empty it."
            )
        shown = pl.col("status") == "shown"
    dimensions, cell = _cells(frame, path, family)
    shape = [len(each.codes) for each in dimensions]
    lacking = np.ones(prod(shape), dtype=bool)
    lacking[cell] = False
    lacking = lacking.reshape(shape)
    finest = np.ones(shape, dtype=bool)
    for axis, dimension in enumerate(dimensions):
        finest &= dimension.finest().reshape([-1 if i == axis else 1 for i in range(len(shape))])

    def told(column: str, shown: pl.Expr) -> np.ndarray:
        value = np.full(prod(shape), HIDDEN, dtype=np.int64)
        value[cell] = _counts(frame, path, family, column, shown, EMPTY)
        value = value.reshape(shape)
        if family.zeros_shown:
            value[lacking & finest] = 0
        while lacking.any():  # once per level at most: every round needs a total that the one before computed
            before = int((value[lacking] == HIDDEN).sum())
            for axis, dimension in enumerate(dimensions):
                _fill_absent(value, lacking, axis, dimension)
            if int((value[lacking] == HIDDEN).sum()) == before:
                break
        return value

    value = told(family.count, shown)
    if not family.numerator:
        _check_sums(value, dimensions, path, lacking, f" in the column {family.count}", LEFT_OUT)
        return Table(family, dimensions, value)
    parts = [told(name, pl.col(name).is_not_null()) for name in (family.numerator, COMPLEMENT)]
    dimensions, value = [*dimensions, _measure(family)], np.stack([value, *parts], axis=-1)
    _check_sums(value, dimensions, path, np.broadcast_to(lacking[..., None], value.shape), "", LEFT_OUT)
    return Table(family, dimensions, value, *_told_bands(frame, path, family, cell, value))


def _told_bands(frame: pl.DataFrame, path: Path, family: Family, cell: np.ndarray, value: np.ndarray):
    """Least and most of every cell that at_least and at_most speak of, HIDDEN elsewhere; shape of value."""
    least, most = (np.full(value.shape, HIDDEN, dtype=np.int64) for _ in range(2))
    ends = ("at_least", "at_most")
    low, high = (_counts(frame, path, family, name, pl.col(name).is_not_null(), EMPTY) for name in ends)
    count = value[..., 0].ravel()[cell]
    banded = (low != HIDDEN) | (high != HIDDEN)
    if (banded & ((low == HIDDEN) | (high == HIDDEN) | (count == HIDDEN) | (low > high) | (high > count))).any():
        raise P20wError(
            f"{path.name}: at_least and at_most must be given together, beside a shown {family.count}; at_least must "
            "be no more than at_most, and that no more than the count."
        )
    rows, low, high, count = cell[banded], low[banded], high[banded], count[banded]
    for place, first, last in ((1, low, high), (2, count - high, count - low)):
        at = np.unravel_index(rows, value.shape[:-1])
        least[(*at, place)], most[(*at, place)] = first, last
    return least, most


def cell_frame(dimensions: list[Dimension], cells: np.ndarray | None = None) -> pl.DataFrame:
    """The columns that name cells, in the order of the codes: each dimension's column, then its parents columns.

    cells: flat indices into Table.value, all cells by default. A parents column is empty where a code has none.
    """
    shape = [len(each.codes) for each in dimensions]
    cells = np.arange(prod(shape)) if cells is None else cells
    columns = {}
    for dimension, index in zip(dimensions, np.unravel_index(cells, shape), strict=True):
        columns[dimension.column] = pl.Series(dimension.codes, dtype=pl.String).gather(index)
        for name, text in zip(dimension.parents, dimension.up, strict=True):
            columns[name] = pl.Series([each or None for each in text], dtype=pl.String).gather(index)
    return pl.DataFrame(columns)


def write_table(frame: pl.DataFrame, path: Path) -> None:
    """Write CSV or Parquet by the suffix, whole or not at all."""
    check_out(path)
    temporary = path.with_name("." + path.name + ".tmp")
    try:
        if path.suffix == ".csv":
            frame.write_csv(temporary)
        else:
            frame.write_parquet(temporary)
        temporary.replace(path)
    except OSError as error:
        raise P20wError(f"{path} could not be written: {error.strerror or 'the system refused'}.") from None
    finally:
        temporary.unlink(missing_ok=True)


def write_parts(frames: Iterable[pl.DataFrame], path: Path) -> None:
    """Write frames with the same columns, one at least, below each other as one Parquet file, whole or not at all."""
    temporary = path.with_name("." + path.name + ".tmp")
    try:
        with ExitStack() as opened:
            writer = None
            for frame in frames:
                rows = frame.to_arrow()
                if writer is None:
                    writer = opened.enter_context(parquet.ParquetWriter(temporary, rows.schema, compression="zstd"))
                writer.write_table(rows)
        temporary.replace(path)
    except OSError as error:
        raise P20wError(f"{path} could not be written: {error.strerror or 'the system refused'}.") from None
    finally:
        temporary.unlink(missing_ok=True)


def check_out(path: Path, *inputs: Path | None) -> None:
    """Raise P20wError unless a table can be written there: by its suffix, in a folder, over none of the inputs."""
    check_suffix(path, "--out")
    if not path.parent.is_dir():
        raise P20wError(f"{path} could not be written: there is no folder {path.parent}. Make it, or name another.")
    for each in inputs:
        if each is not None and path.exists() and each.exists() and path.samefile(each):
            raise P20wError(f"--out {path} is the same file as {each}, which it would overwrite: name another file.")


def check_suffix(path: Path, option: str) -> None:
    """Raise P20wError unless the name ends with .csv or .parquet."""
    if path.suffix not in {".csv", ".parquet"}:
        raise P20wError(f"{option} must end with .csv or .parquet, not with '{path.suffix or path.name}'.")


def describe(dimensions: list[Dimension], at: tuple) -> str:
    """One cell in words: "school A, grade 3". at: one index per dimension."""
    return ", ".join(f"{each.column} {each.codes[int(i)]}" for each, i in zip(dimensions, at, strict=True))


# --- the declaration --------------------------------------------------------------------------------------


class _Text(yaml.BaseLoader):
    """YAML whose scalars are all text, and where a key that stands twice is an error, not a silent choice."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                line = node.start_mark.line + 1
                raise P20wError(f"The family says {key} twice in the part that begins in line {line}: keep one.")
        return super().construct_mapping(node, deep=deep)


def _keys(said: object, at: str, needed: set[str], allowed: set[str]) -> None:
    if not isinstance(said, dict):
        raise P20wError(f"{at} must be a list of keys with values: {', '.join(sorted(needed | allowed))}.")
    unknown = sorted(str(key) for key in set(said) - needed - allowed)
    if unknown:
        raise P20wError(f"{at} has the unknown key {unknown[0]}; known are {', '.join(sorted(needed | allowed))}.")
    missing = sorted(needed - set(said))
    if missing:
        raise P20wError(f"{at} does not say {missing[0]}.")


def _text(said: object, at: str) -> str:
    if not isinstance(said, str) or not said.strip():
        raise P20wError(f"{at} must be one word or number, and not empty.")
    return said.strip()


def _whole(said: object, at: str) -> int:
    text = _text(said, at)
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= LARGEST_COUNT:
        raise P20wError(f"{at} must be a whole number of 1 or more, not '{text}'.")
    return int(text)


def _decoy_share(said: object, at: str) -> Fraction:
    text = _text(said, at)
    if not re.fullmatch(r"0|0?\.\d{1,6}", text) or Fraction(text) > Fraction(1, 2):
        raise P20wError(f"{at} must be a share from 0 to 0.5, such as 0.05, not '{text}'.")
    return Fraction(text)


def _texts(said: object, at: str) -> tuple[str, ...]:
    if not isinstance(said, list):
        raise P20wError(f"{at} must be a list.")
    found = tuple(_text(each, at) for each in said)
    for each in found:
        if found.count(each) > 1:
            raise P20wError(f"{at} lists {each} twice.")
    return found


def _bands(said: object, at: str, family: Family) -> tuple[Band, ...]:
    """Bands that leave every numerator `interval` uncertain, inside each end and between them."""
    if not family.numerator:
        raise P20wError(f"{at} has bands but no numerator: bands are of shares.")
    if not isinstance(said, list) or not said:
        raise P20wError(f"{at}: bands must be a list with from and ends in each.")
    found: list[Band] = []
    for i, each in enumerate(said, 1):
        where = f"{at}, band {i}"
        _keys(each, where, {"from", "ends"}, set())
        text = _text(each["ends"], f"{where}: ends")
        if not re.fullmatch(r"0?\.\d{1,6}", text) or not 0 < Fraction(text) < Fraction(1, 2):
            raise P20wError(f"{where}: ends must be a share above 0 and below 0.5, such as 0.05, not '{text}'.")
        found.append(Band(_whole(each["from"], f"{where}: from"), Fraction(text)))
        if i > 1 and found[-1].first <= found[-2].first:
            raise P20wError(f"{where}: from must grow from band to band.")
    family = replace(family, bands=tuple(found))
    for i, band in enumerate(found):
        last = found[i + 1].first if i + 1 < len(found) else LARGEST_COUNT
        # Beyond this many counts all of them leave more room than the first few did.
        count = np.arange(band.first, min(last, band.first + 4 * int(1 / band.ends)), dtype=np.int64)
        low, high = family.ends(count)
        for told, width in (("at the ends", low), ("between them", high - low - 2)):
            if (width < family.interval).any():
                first = int(np.argmax(width < family.interval))
                raise P20wError(
                    f"{at}, band {i + 1}: with a count of {count[first]} it leaves {width[first] + 1} numerators "
                    f"{told}, fewer than {family.interval + 1} (interval {family.interval}). Let it begin at a larger "
                    "count, or change ends."
                )
    return tuple(found)


def _declared(said: object, at: str) -> Declared:
    _keys(said, at, {"column", "total"}, {"parents", "breakdowns"})
    column, total = _text(said["column"], f"{at}: column"), _text(said["total"], f"{at}: total")
    at = f"{at} ({column})"
    if "parents" in said and "breakdowns" in said:
        raise P20wError(f"{at} has parents and breakdowns: a dimension has one of them.")
    if "breakdowns" not in said:
        # A dimension with neither is flat: its values sum to its total.
        return Declared(column, total, _texts(said.get("parents", []), f"{at}: parents"), ())
    if not isinstance(said["breakdowns"], list) or not said["breakdowns"]:
        raise P20wError(f"{at}: breakdowns must be a list of lists of codes.")
    breakdowns = tuple(_texts(each, f"{at}: breakdown {i}") for i, each in enumerate(said["breakdowns"], 1))
    for i, each in enumerate(breakdowns, 1):
        if not each:
            raise P20wError(f"{at}: breakdown {i} is empty.")
        if total in each:
            raise P20wError(f"{at}: breakdown {i} lists the total's code {total}: a total is no part of itself.")
    return Declared(column, total, (), breakdowns)


# --- the file ---------------------------------------------------------------------------------------------


def _read(path: Path, family: Family, with_status: bool) -> pl.DataFrame:
    """The family's columns of the file as text, blanks around it taken off, empty text as null."""
    if not path.is_file():
        raise MissingFileError(f"There is no table {path}.")
    if path.suffix not in {".csv", ".parquet"}:
        raise P20wError(f"{path.name} must be a .csv or a .parquet file.")
    try:
        if path.suffix == ".csv":
            _check_fields(path)
        lazy = pl.scan_csv(path, infer_schema=False) if path.suffix == ".csv" else pl.scan_parquet(path)
        there = {name.strip(): name for name in lazy.collect_schema().names()}
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError, csv.Error):
        raise P20wError(f"{path.name} could not be read as {path.suffix[1:].upper()} in UTF-8 with a header.") from None
    wanted = [family.count]
    for each in family.dimensions:
        wanted += [each.column, *each.parents]
    numbers = [family.numerator] if family.numerator else []
    if family.numerator and with_status:
        numbers += [COMPLEMENT, "at_least", "at_most"]
    for name in [*wanted, *numbers]:
        if name not in there:
            raise P20wError(f"{path.name} has no column {name}. It has: {', '.join(sorted(there))}.")
    if with_status and "status" in there:
        wanted.append("status")

    # Codes repeat in many rows: as categories a table of millions of cells takes little room.
    def text(name: str) -> pl.Expr:
        return pl.col(there[name]).cast(pl.String).str.strip_chars().replace("", None).alias(name)

    codes = [text(name).cast(pl.Categorical) for name in wanted[1:]]
    try:
        frame = lazy.select(text(wanted[0]), *codes, *map(text, numbers)).collect()
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError):
        raise P20wError(
            f"{path.name} could not be read as {path.suffix[1:].upper()} in UTF-8 with a header and columns of text or "
            "numbers."
        ) from None
    if not frame.height:
        raise P20wError(f"{path.name} has no row.")
    return frame


def _check_fields(path: Path) -> None:
    """Raise P20wError where the header names a column twice or a row has more fields: one of them would be dropped."""
    with path.open(newline="", encoding="utf-8-sig") as handle:
        rows = csv.reader(handle)
        header = [name.strip() for name in next(filter(None, rows), [])]
        for name in header:
            if name and header.count(name) > 1:
                raise P20wError(
                    f"{path.name}, line {rows.line_num}: the header names the column {name} twice. Take one of them "
                    "out, or rename it."
                )
        for row in rows:
            if len(row) > len(header):
                raise P20wError(
                    f"{path.name}, line {rows.line_num}: the row has {len(row)} fields, the header {len(header)}. "
                    "Correct the row; a text with a comma in it stands in quotes."
                )


def _counts(
    frame: pl.DataFrame, path: Path, family: Family, column: str, shown: pl.Expr, advice: str = ""
) -> np.ndarray:
    """Numbers of one column of the rows as int64, HIDDEN where a row is not `shown`.

    advice: a sentence for whoever has a text there that is no number.
    """
    number = pl.col(column).cast(pl.Float64, strict=False)
    read = frame.select(
        text=pl.col(column).fill_null(""),
        number=number.fill_nan(None),
        shown=shown,
    )
    whole = (pl.col("number") >= 0) & (pl.col("number") <= LARGEST_COUNT) & (pl.col("number") % 1 == 0)
    wrong = read.with_row_index("row").filter(pl.col("shown") & ~whole.fill_null(False))
    if wrong.height:
        row, text = wrong["row"][0], wrong["text"][0]
        names = [each.column for each in family.dimensions]
        cell = ", ".join(f"{name} {frame[name][row] or ''}" for name in names)
        said = f"'{text}', which is not a whole number of 0 or more" if text else "empty"
        if (wrong["number"][0] or 0) > LARGEST_COUNT:
            said = f"'{text}', which is above {LARGEST_COUNT}, the largest count that can be used"
        more = _more(wrong.height) + "." + (advice if text and wrong["number"][0] is None else "")
        raise P20wError(f"{path.name}: the column {column} of {cell} is {said}{more}")
    kept = read.select(pl.when(pl.col("shown")).then(pl.col("number")).otherwise(HIDDEN).cast(pl.Int64))
    return kept.to_series().to_numpy()


def _cells(frame: pl.DataFrame, path: Path, family: Family) -> tuple[list[Dimension], np.ndarray]:
    """The dimensions that the file and the declaration make, and the flat cell of every row (each cell once)."""
    dimensions, indices = [], []
    for declared in family.dimensions:
        seen = frame.select(declared.column, *declared.parents).unique(maintain_order=True).cast(pl.String)
        if seen[declared.column].null_count():
            raise P20wError(f"{path.name}: the column {declared.column} is empty in some row; totals carry their code.")
        make = _from_breakdowns if declared.breakdowns else _from_parents
        dimension = make(seen, path.name, declared)
        dimensions.append(dimension)
        indices.append(frame[declared.column].cast(pl.Enum(dimension.codes)).to_physical().to_numpy().astype(np.int64))
    shape = [len(each.codes) for each in dimensions]
    if prod(shape) > LARGEST_TABLE:
        raise P20wError(
            f"{path.name}: the product of all codes has {prod(shape)} cells, more than {LARGEST_TABLE}: split it."
        )
    cell = np.ravel_multi_index(tuple(indices), shape)
    order = np.argsort(cell, kind="stable")
    twice = np.flatnonzero(cell[order[1:]] == cell[order[:-1]])
    for first, second in zip(order[twice].tolist(), order[twice + 1].tolist(), strict=True):
        a, b = frame.row(first), frame.row(second)
        where = describe(dimensions, np.unravel_index(cell[first], shape))
        if a == b:
            raise P20wError(f"{path.name}: {where} stands twice in the same words: every cell has one row.")
        # Only a value that is its own only-child parent may stand as value and again as parent, saying the same.
        for told in {family.count, family.numerator, "status"} & set(frame.columns):
            one, other = frame[told][first], frame[told][second]
            if one != other:
                raise P20wError(f"{path.name}: {where} stands twice, with {told} '{one or ''}' and '{other or ''}'.")
    return dimensions, cell


# --- codes and relations ----------------------------------------------------------------------------------


def _from_breakdowns(seen: pl.DataFrame, name: str, declared: Declared) -> Dimension:
    codes, level = [declared.total], ["total"]
    for i, breakdown in enumerate(declared.breakdowns, 1):
        fresh = [code for code in breakdown if code not in codes]
        codes += fresh
        level += [f"breakdown {i}"] * len(fresh)
    there = set(seen[declared.column])
    unlisted = sorted(there - set(codes))
    if unlisted:
        raise P20wError(
            f"{name}: the code {unlisted[0]} of {declared.column} is in no breakdown{_more(len(unlisted))}. "
            "Add it to one of the family's breakdowns."
        )
    for i, breakdown in enumerate(declared.breakdowns, 1):
        if not there & set(breakdown):
            raise P20wError(
                f"{name} has no row of breakdown {i} of {declared.column} ({', '.join(breakdown[:5])}): take the "
                "breakdown out of the family, or put its rows into the table."
            )
    index = {code: i for i, code in enumerate(codes)}
    return _dimension(declared, codes, level, [(0, [index[c] for c in each]) for each in declared.breakdowns], ())


def _from_parents(seen: pl.DataFrame, name: str, declared: Declared) -> Dimension:
    """A dimension from the parents columns of the rows of its values.

    A row belongs to a value where its first parents column is filled or its code is no parent of any row; the other
    rows belong to coarser codes, whose parents follow from their values.
    """
    column, total, parents = declared.column, declared.total, declared.parents
    coarse = set()
    for each in parents:
        coarse |= set(seen[each].drop_nulls())
    value_up: dict[str, tuple[str, ...]] = {}
    coarse_rows: list[tuple] = []
    for code, *up in seen.iter_rows():
        if code == total:
            if any(each not in (None, total) for each in up):
                raise P20wError(
                    f"{name}: {code} is the total of {column} and also a value with a parent: make the codes distinct."
                )
            continue
        if code in coarse and (not up or up[0] is None):
            coarse_rows.append((code, *up))
            continue
        for each, text in zip(parents, up, strict=True):
            if text is None:
                raise P20wError(f"{name}: {column} {code} has no {each}: fill that column for every value.")
        if value_up.setdefault(code, tuple(up)) != tuple(up):
            a, b, each = next((a, b, c) for a, b, c in zip(value_up[code], up, parents, strict=True) if a != b)
            raise P20wError(f"{name}: {column} {code} has two parents in {each}, {a} and {b}.")
    if not value_up:
        raise P20wError(f"{name} has no row of a value of {column}, only totals: put the rows of its values in.")
    values = sorted(value_up)
    # What each code covers: the same code in two columns is one cell only where it covers the same values.
    cover: dict[str, frozenset[str]] = {code: frozenset([code]) for code in values}
    depth = dict.fromkeys(values, 0)
    for j, each in enumerate(parents):
        below: dict[str, list[str]] = {}
        for code in values:
            below.setdefault(value_up[code][j], []).append(code)
        for code, covered in below.items():
            if code == total and len(covered) < len(values):
                raise P20wError(
                    f"{name}: {code} is the total of {column} and also a {each} of only some values: make the codes "
                    "distinct."
                )
            if cover.setdefault(code, frozenset(covered)) != frozenset(covered):
                what = column if depth[code] == 0 else parents[depth[code] - 1]
                raise P20wError(
                    f"{name}: {code} means two things in {column}: a {what} and a {each} with other members. Make the "
                    "codes distinct."
                )
            depth.setdefault(code, j + 1)
    depth.pop(total, None)
    # Each column sums from the nearest finer one of which it is a function; a column that says only the total is it.
    columns = [j for j, each in enumerate(parents) if {up[j] for up in value_up.values()} != {total}]
    source: dict[int, int] = {}
    for position, j in enumerate(columns):
        source[j] = -1  # the values themselves
        for i in reversed(columns[:position]):
            if len({(up[i], up[j]) for up in value_up.values()}) == len({up[i] for up in value_up.values()}):
                source[j] = i
                break
    codes, level = [total], ["total"]
    for j in reversed(columns):
        fresh = sorted(code for code, at in depth.items() if at == j + 1)
        codes += fresh
        level += [parents[j]] * len(fresh)
    codes += values
    level += [column] * len(values)
    index = {code: i for i, code in enumerate(codes)}
    relations = []
    for j in columns:
        members: dict[str, dict[str, None]] = {}
        for code in values:
            up = value_up[code]
            members.setdefault(up[j], {})[code if source[j] < 0 else up[source[j]]] = None
        # A code that a finer column has already is the same cell: its sum stands there.
        relations += [(index[code], [index[m] for m in members[code]]) for code in codes if depth.get(code) == j + 1]
    tops = [j for j in columns if j not in source.values()]
    if not columns:
        relations.append((0, [index[code] for code in values]))
    for j in tops:
        relations.append((0, sorted({index[up[j]] for up in value_up.values()})))
    up_texts = []
    for j, each in enumerate(parents):
        texts = []
        for code in codes:
            # Filled as far as the code's column leads to this one: a county that lies in two groups has no group.
            i = depth[code] - 1 if code in depth else None
            leads = code != total and (i == -1 or j in _led(i, source) or (j > i and j not in source))
            texts.append(value_up[next(iter(cover[code]))][j] if leads else "")
        up_texts.append(texts)
        for code, *up in coarse_rows:
            if up[j] is not None and {value_up[v][j] for v in cover[code]} != {up[j]}:
                raise P20wError(
                    f"{name}: the row of {column} {code} says {each} {up[j]}, but its values say otherwise."
                )
    return _dimension(declared, codes, level, relations, tuple(up_texts))


def _led(i: int, source: dict[int, int]) -> set[int]:
    """Parents columns that are sums of column i, over any number of steps."""
    found: set[int] = set()
    for j in sorted(source):
        if source[j] == i or source[j] in found:
            found.add(j)
    return found


def _dimension(declared: Declared, codes, level, relations: list[tuple[int, list[int]]], up) -> Dimension:
    seen, kept = set(), []
    for parent, members in relations:
        if (parent, frozenset(members)) not in seen:
            seen.add((parent, frozenset(members)))
            kept.append((parent, sorted(members)))
    sizes = [len(members) for _, members in kept]
    return Dimension(
        declared.column,
        declared.total,
        codes,
        level,
        np.array([parent for parent, _ in kept], dtype=np.int64),
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        np.array([m for _, members in kept for m in members], dtype=np.int64),
        declared.parents,
        up,
    )


# --- sums -------------------------------------------------------------------------------------------------


def _summed(value: np.ndarray, axis: int, dimension: Dimension) -> np.ndarray:
    """The table with every coarser code of one dimension computed from its finest codes, by its first relation."""
    count = len(dimension.codes)
    cover = [None] * count  # finest codes of each code
    for code in np.flatnonzero(dimension.finest()):
        cover[code] = [code]
    for r, parent in enumerate(dimension.parent):
        if cover[parent] is None:
            members = dimension.member[dimension.start[r] : dimension.start[r + 1]]
            cover[parent] = [leaf for m in members for leaf in cover[m]]
    row = np.repeat(np.arange(count), [len(each) for each in cover])
    column = np.concatenate(cover)
    matrix = sparse.csr_matrix((np.ones(len(row), dtype=np.int64), (row, column)), shape=(count, count))
    moved = np.moveaxis(value, axis, 0)
    done = (matrix @ moved.reshape(count, -1)).reshape(moved.shape)
    return np.ascontiguousarray(np.moveaxis(done, 0, axis))


def _fill_absent(value: np.ndarray, lacking: np.ndarray, axis: int, dimension: Dimension) -> None:
    """In place: lacking cells that are sums of known ones along one dimension."""
    moved, absent = np.moveaxis(value, axis, 0), np.moveaxis(lacking, axis, 0)
    for r, parent in enumerate(dimension.parent):
        members = dimension.member[dimension.start[r] : dimension.start[r + 1]]
        wanted = absent[parent] & (moved[parent] == HIDDEN)
        if wanted.any():
            parts = moved[members]
            moved[parent] = np.where(wanted & (parts != HIDDEN).all(axis=0), parts.sum(axis=0), moved[parent])


def _check_sums(
    value: np.ndarray, dimensions: list[Dimension], path: Path, lacking: np.ndarray, column: str, left_out: str = ""
) -> None:
    """Raise P20wError where a relation whose cells are all known does not hold; of several, the finest is named.

    lacking: cells without a row, which were computed; left_out: what to do where a row should be there.
    """
    cells, relations = [], []
    for axis, dimension in enumerate(dimensions):
        moved = np.moveaxis(value, axis, 0)
        for r, parent in enumerate(dimension.parent):
            parts = moved[dimension.member[dimension.start[r] : dimension.start[r + 1]]]
            known = (moved[parent] != HIDDEN) & (parts != HIDDEN).all(axis=0)
            wrong = np.argwhere(known & (parts.sum(axis=0) != moved[parent]))
            if len(wrong):
                cells.append(np.insert(wrong, axis, parent, axis=1))
                relations += [(axis, r)] * len(wrong)
    if not relations:
        return
    first = _finest(np.concatenate(cells), dimensions)
    at, (axis, r) = tuple(np.concatenate(cells)[first]), relations[first]
    dimension = dimensions[axis]
    other = int(np.argmax(dimension.parent == at[axis]))
    members, source = (dimension.member[dimension.start[k] : dimension.start[k + 1]] for k in (r, other))
    parts, made_of = ((*at[:axis], codes, *at[axis + 1 :]) for codes in (members, source))
    by = f" by {_listed(dimension, source)}" if lacking[at] and value[made_of].sum() == value[at] else ""
    if left_out:
        missing = members[lacking[parts]]
        left_out = f" {left_out}{': ' + _listed(dimension, missing) if len(missing) else ''}."
    raise P20wError(
        f"{path.name}: {describe(dimensions, at)} is {value[at]}{by}, but {_listed(dimension, members)} sum to "
        f"{value[parts].sum()}{column}{_more(len(relations))}. Parts that are a sum must make it: correct the table or "
        f"the family.{left_out}"
    )


def _finest(cells: np.ndarray, dimensions: list[Dimension]) -> int:
    """Which of some cells sums the fewest finest ones. cells: a row of indices each."""
    covered = np.ones(len(cells), dtype=np.int64)
    for dimension, code in zip(dimensions, cells.T, strict=True):
        covered *= _summed(np.ones(len(dimension.codes), dtype=np.int64), 0, dimension)[code]
    return int(np.argmin(covered))


def _listed(dimension: Dimension, codes: np.ndarray) -> str:
    """Some codes in words: "group a, b, c, d, …"."""
    return f"{dimension.column} {', '.join(dimension.codes[c] for c in codes[:4])}{', …' if len(codes) > 4 else ''}"


def _more(count: int) -> str:
    return f" (and {count - 1} more)" if count > 1 else ""
