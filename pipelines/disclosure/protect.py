"""The official tables of one build: from the exact cube to protected.official_indicator and its evidence.

What belongs here: reading the warehouse, running declare, suppress, detect and repair in turn, writing the protected
table, the restricted evidence and the check results. What does not: any rule of protection.
"""

from __future__ import annotations

import csv
import dataclasses
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from pipelines import planner
from pipelines.disclosure.bands import Bands, load_bands, share_text
from pipelines.disclosure.certify import CERTIFIED, MOVE, Certificates, certify, verify
from pipelines.disclosure.declare import ALL, Declaration, declare
from pipelines.disclosure.detect import UNKNOWN, Detection, Published, detect
from pipelines.disclosure.earlier import Earlier, beside, nothing_earlier, read_earlier
from pipelines.disclosure.linked import NESTING, OVERLAP, linked_families
from pipelines.disclosure.memory import PATTERN, Kept, Memory, Part, digest, forget, keep, parts, recall
from pipelines.disclosure.policy import Policy, load_policy
from pipelines.disclosure.protected_table import replace_table
from pipelines.disclosure.suppress import Pattern, Suppressor, hides_no_zero
from pipelines.errors import P20wError
from pipelines.progress import say
from pipelines.settings import Settings

# One order of columns for official and perturbed rows; types as the marts expect them.
COLUMNS = {
    "indicator_code": "VARCHAR",
    "subject_code": "VARCHAR",
    "school_year": "INTEGER",
    "cohort_year": "INTEGER",
    "organization_level": "VARCHAR",
    "organization_id_state": "VARCHAR",
    "organization_id_nces": "VARCHAR",
    "organization_name": "VARCHAR",
    "lea_id_state": "VARCHAR",
    "lea_name": "VARCHAR",
    "breakdown_code": "VARCHAR",
    "group_code": "VARCHAR",
    "denominator_count": "BIGINT",
    "numerator_count": "BIGINT",
    "rate": "DECIMAL(9,6)",
    "rate_low": "DECIMAL(9,6)",
    "rate_high": "DECIMAL(9,6)",
    "rate_label": "VARCHAR",
    "value_amount": "BIGINT",
    "value_unit": "VARCHAR",
    "value_status": "VARCHAR",
    "protection": "VARCHAR",
    "suppression_reason": "VARCHAR",
}
FIGURES = ("blocks", "largest_block", "hidden_count", "partly_solved_blocks")  # of a part, known again with it
MILLIONTHS = ("rate", "rate_low", "rate_high")
CUBE = [
    "indicator_code",
    "subject_code",
    "organization_key",
    "school_year",
    "cohort_year",
    "breakdown_code",
    "group_code",
    "denominator_count",
    "numerator_count",
    "window_open_count",
]


@dataclass(frozen=True)
class OfficialSummary:
    """Figures of one build. No count of people, so it may stand in logs and metadata."""

    families: int
    window_open_families: int
    cells: int
    shown: int
    banded: int
    suppressed: int
    withdrawn: int
    no_students: int
    findings_repaired: int
    findings_left: int
    certified: int
    uncertified: int
    repair_rounds: int
    blocks: int
    largest_block: int
    seconds: float

    def as_metadata(self) -> dict[str, int | float]:
        """Plain dictionary for whoever keeps figures of a step."""
        return asdict(self)


@dataclass(frozen=True)
class Protected:
    """Outcome of protecting one declaration: what is published, how, what the attack still finds, and the proof.

    earlier: what releases before had told of the same cells. certificates: None where findings are left, which refuse
    the release anyway. flaws: what the check of values and certificates in SQL says is wrong, in sentences. part:
    (cells,) number of the part of each cell; kept: by part, what may be known again the next night.
    """

    declaration: Declaration
    earlier: Earlier
    pattern: Pattern
    published: Published
    detection: Detection
    rounds: int
    repaired: Counter
    certificates: Certificates | None
    flaws: list[str]
    part: np.ndarray
    kept: list[dict]


@dataclass
class _Outcome:
    """The same of one part, before anything is put together."""

    pattern: Pattern
    detection: Detection
    certificates: Certificates | None
    rounds: int = 0
    repaired: Counter = dataclasses.field(default_factory=Counter)


def protect(
    declaration: Declaration,
    policy: Policy,
    bands: Bands,
    secret: bytes,
    earlier: Earlier | None = None,
    memory: Memory | None = None,
) -> Protected:
    """Protect each part that shares no sum with another. One in which nothing changed is known from the night before.

    earlier: what earlier releases told of the same cells. memory: results of the night before.
    """
    earlier = nothing_earlier(len(declaration.d)) if earlier is None else earlier
    known = {} if memory is None else memory.parts
    cut = parts(declaration, earlier)
    outcomes, kept = [], []
    for number, part in enumerate(cut):
        mark = digest(part, policy, bands, secret)
        found = _again(known[mark]) if mark in known else _protect_part(part, policy, bands, secret)
        outcomes.append(found)
        if found.certificates is not None and not found.certificates.uncertified:
            figures = {name: getattr(found.detection, name) for name in FIGURES}
            kept.append({"part": number, "digest": mark, "figures": figures})
    pattern, detection, certificates, of_part = _together(declaration, cut, outcomes)
    published = publish(declaration, pattern, bands, policy)
    flaws = []
    if certificates is not None:
        flaws = verify(declaration, published, certificates, policy.minimum_count, policy.interval_width, earlier)
    return Protected(
        declaration,
        earlier,
        pattern,
        published,
        detection,
        max((found.rounds for found in outcomes), default=0),
        sum((found.repaired for found in outcomes), Counter()),
        certificates,
        flaws,
        of_part,
        [] if flaws else kept,
    )


def _protect_part(part: Part, policy: Policy, bands: Bands, secret: bytes) -> _Outcome:
    """Suppress, attack and certify; hide more until the attack finds nothing and every sensitive value has its
    certificate, or policy.repair_rounds are used up."""
    declaration, earlier = part.declaration, part.earlier
    suppressor = Suppressor(declaration, policy, bands, secret, earlier)
    pattern = suppressor.close()
    told = [getattr(pattern, name).copy() for name in ("hide_d", "hide_n", "band")]
    repaired: Counter = Counter()
    clean: set[bytes] = set()
    known = None
    for round_ in range(policy.repair_rounds + 1):
        published = as_read(declaration, publish(declaration, pattern, bands, policy), earlier)
        detection = detect(
            published,
            declaration.relation,
            declaration.nesting,
            policy.minimum_count,
            policy.interval_width,
            overlap=declaration.overlap,
            earlier=earlier,
            clean=clean,
            stop_early=round_ < policy.repair_rounds,
        )
        certificates, targets = None, []
        if not detection.findings:
            certificates = known = certify(
                declaration, published, policy.minimum_count, policy.interval_width, known, earlier
            )
            targets = [(variable.removeprefix("x"), cell) for variable, cell, _ in certificates.uncertified]
            targets += [(variable[-1], other) for variable, _, other in certificates.uncertified if other >= 0]
            repaired.update("uncertified" for _ in certificates.uncertified)
        if (certificates is not None and not targets) or round_ == policy.repair_rounds:
            break
        for finding in detection.findings:
            variable = "d" if finding.variable in ("d", "xd") else "n"
            targets.append((variable, finding.cell))
            if finding.other >= 0:
                targets.append((variable, finding.other))
        # Later rounds hide more at a time: a bounded search must end hidden rather than open.
        # What takes a program to find is costly to find again, so it gets more room at once; but dozens of such
        # findings often have one cause, so what was just hidden two steps away counts.
        hard = any(finding.rule == "program" for finding in detection.findings)
        changed = suppressor.repair(sorted(set(targets)), effort=1 + round_ // 5 + hard, reach=2 * hard)
        repaired.update(finding.rule for finding in detection.findings)
        if not changed:
            break
    hide_d, hide_n, band = told
    pattern.late = (pattern.hide_d & ~hide_d) | (pattern.hide_n & ~hide_n) | ((pattern.band == 0) & (band != 0))
    return _Outcome(pattern, detection, certificates, round_, repaired)


def _again(kept: Kept) -> _Outcome:
    """The outcome of a part that is known from the night before."""
    return _Outcome(
        Pattern(*(kept.pattern[name].to_numpy().copy() for name in PATTERN)),
        Detection(**kept.figures),
        Certificates(kept.moves, kept.certified, []),
    )


def _together(
    declaration: Declaration, cut: list[Part], outcomes: list[_Outcome]
) -> tuple[Pattern, Detection, Certificates | None, np.ndarray]:
    """What was found of the parts, on the cells of the whole; and the part of each cell."""
    count = len(declaration.d)
    pattern = Pattern(*(np.zeros(count, dtype=kind) for kind in (bool, bool, np.int8, bool, bool, bool, bool)))
    detection, of_part = Detection(), np.zeros(count, dtype=np.int64)
    moves, certified, uncertified = [pl.DataFrame(schema=MOVE)], [pl.DataFrame(schema=CERTIFIED)], []
    made = 0
    for number, (part, found) in enumerate(zip(cut, outcomes, strict=True)):
        cells = part.cells
        of_part[cells] = number
        for field in dataclasses.fields(Pattern):
            getattr(pattern, field.name)[cells] = getattr(found.pattern, field.name)
        detection.blocks += found.detection.blocks
        detection.largest_block = max(detection.largest_block, found.detection.largest_block)
        detection.hidden_count += found.detection.hidden_count
        detection.partly_solved_blocks += found.detection.partly_solved_blocks
        detection.findings += [
            dataclasses.replace(
                each, cell=int(cells[each.cell]), other=int(cells[each.other]) if each.other >= 0 else each.other
            )
            for each in found.detection.findings
        ]
        if found.certificates is None:
            continue
        place = np.append(cells, -1)  # -1, no cell, stays -1
        given = found.certificates
        moves.append(
            given.moves.with_columns(
                move=pl.col("move") + made, cell=pl.Series(place[given.moves["cell"].to_numpy()], dtype=pl.Int64)
            )
        )
        certified.append(
            given.certified.with_columns(
                *(
                    pl.Series(name, place[given.certified[name].to_numpy()], dtype=pl.Int64)
                    for name in ("cell", "other")
                ),
                *(pl.when(pl.col(name) >= 0).then(pl.col(name) + made).otherwise(-1) for name in ("down", "up")),
            )
        )
        uncertified += [
            (variable, int(cells[cell]), int(cells[other]) if other >= 0 else -1)
            for variable, cell, other in given.uncertified
        ]
        made += int(given.moves["move"].max() or 0) + 1 if given.moves.height else 0
    if any(found.certificates is None for found in outcomes):
        return pattern, detection, None, of_part
    return pattern, detection, Certificates(pl.concat(moves), pl.concat(certified), uncertified), of_part


def _all_cell(declaration: Declaration) -> np.ndarray:
    """Index of the 'all' cell beside each cell: same indicator, subject, cohort year and organization."""
    place = ["indicator_code", "subject_code", "cohort_year", "organization_key"]
    cells = declaration.cells.select(*place, "breakdown_code").with_row_index("own")
    totals = cells.filter(pl.col("breakdown_code") == "all").select(*place, total="own")
    return (
        cells.join(totals, on=place, how="left").sort("own").select(pl.coalesce("total", "own")).to_series().to_numpy()
    )


def _with_silent_zeros(declaration: Declaration, pattern: Pattern, of_all: np.ndarray) -> Pattern:
    """Hide empty groups beside a hidden 'all': of a handful of students a zero says what none of them is."""
    silent = (declaration.d == 0) & pattern.hide_d[of_all]
    return dataclasses.replace(pattern, hide_d=pattern.hide_d | silent, hide_n=pattern.hide_n | silent)


def publish(declaration: Declaration, pattern: Pattern, bands: Bands, policy: Policy) -> Published:
    """The values a reader sees under `pattern`. Shape of every array: (cells,)."""
    d, n = declaration.d, declaration.n
    low_most, high_least, _, _ = bands.limits(d)
    low_band, high_band = pattern.band < 0, pattern.band > 0
    return Published(
        d=np.where(pattern.hide_d, UNKNOWN, d),
        n=np.where(pattern.hide_n | pattern.hide_d, UNKNOWN, n),
        n_low=np.where(high_band, high_least, 0),
        n_high=np.where(low_band, low_most, d),
        label=declaration.cells["label"].to_list(),
        least_d=np.where(hides_no_zero(declaration, policy) & (d > 0), 1, 0),
    )


def as_read(declaration: Declaration, published: Published, earlier: Earlier) -> Published:
    """`published` as it stands beside earlier releases: what one of them told and what did not change is no secret."""
    known_d, known_n = earlier.known(declaration.d, declaration.n)
    return dataclasses.replace(
        published,
        d=np.where(known_d, declaration.d, published.d),
        n=np.where(known_n, declaration.n, published.n),
    )


def rows(protected: Protected, bands: Bands) -> pl.DataFrame:
    """Published columns beside the cells. Rates in millionths (exact); a hidden value is null.

    suppression_reason is one code whatever the cause of a hidden value: which cells are small, and which only hide
    them, is what a reader must not learn. What an earlier release told and this one hides is marked as withdrawn: the
    reader has the old value anyway.
    """
    declaration, versions = protected.declaration, protected.earlier.versions
    # Told after the attack found nothing: a reader who sees less cannot find more.
    pattern = _with_silent_zeros(declaration, protected.pattern, _all_cell(declaration))
    d, n = declaration.d, declaration.n
    hide_d, band = pattern.hide_d, np.where(pattern.hide_d, 0, pattern.band)
    empty = ~hide_d & (d == 0)
    shown = ~hide_d & ~pattern.hide_n & ~empty
    banded = band != 0
    _, _, low_share, high_share = bands.limits(d)
    labels = {share: share_text(int(share)) for share in np.unique(np.concatenate([low_share, high_share]))}
    label = np.array([""] * len(d), dtype=object)
    for i in np.flatnonzero(banded):
        label[i] = f"≤{labels[low_share[i]]}" if band[i] < 0 else f"≥{labels[high_share[i]]}"
    safe_d = np.where(d == 0, 1, d)
    frame = declaration.cells.select(
        "indicator_code",
        "subject_code",
        "cohort_year",
        "organization_key",
        "school_year",
        "breakdown_code",
        "group_code",
    )
    withdrawn = np.zeros(len(d), dtype=bool)
    for told_d, told_n in versions:
        withdrawn |= (hide_d & (told_d >= 0)) | (told_n >= 0)
    status = np.select([shown, empty, banded, withdrawn], ["shown", "no_students", "banded", "withdrawn"], "suppressed")
    reason = np.select([shown | empty, banded], ["", "band"], "small_group")

    def masked(value: np.ndarray, keep: np.ndarray) -> pl.Series:
        return (
            pl.Series(value.astype(np.int64)).zip_with(
                pl.Series(keep), pl.Series([None], dtype=pl.Int64).extend_constant(None, len(keep) - 1)
            )
            if len(keep)
            else pl.Series([], dtype=pl.Int64)
        )

    return frame.with_columns(
        denominator_count=masked(d, ~hide_d),
        numerator_count=masked(n, shown | empty),
        rate=masked((2_000_000 * n + safe_d) // (2 * safe_d), shown),
        rate_low=masked(np.where(band > 0, high_share * 100, 0), banded),
        rate_high=masked(np.where(band < 0, low_share * 100, 1_000_000), banded),
        rate_label=pl.Series(label.tolist(), dtype=pl.String),
        value_status=pl.Series(status.tolist(), dtype=pl.String),
        suppression_reason=pl.Series(reason.tolist(), dtype=pl.String),
    )


def protect_official(settings: Settings, build_id: str) -> OfficialSummary:
    """Protect the official indicators of this build's cube.

    Reads cubes.cube_indicator and core.dim_organization in the warehouse and the seeds; writes
    protected.official_indicator (with no rows when there is nothing official), evidence/disclosure/<build_id>.parquet
    (exact counts and causes), evidence/disclosure/<build_id>__finding.parquet (what was found, with its arithmetic),
    <build_id>__move.parquet and __certified.parquet (the certificates, which give hidden counts away) and the check
    results `disclosure.official_indicator.*`. A finding that remains fails the check: nothing is passed.
    Raises ValueError for broken policy or a cube that contradicts its declaration.
    """
    from pipelines.identity.vault import open_vault, secret
    from pipelines.quality import check_result

    started = time.monotonic()
    as_of = planner.day_of(build_id)
    policy = load_policy(settings.seeds / "policy" / "protection.csv", as_of)
    bands = load_bands(settings.seeds / "policy" / "rate_band.csv", policy, as_of)
    indicator = _read_csv(
        settings.seeds / "registers" / "indicator.csv",
        ["indicator_code", "protection", "breakdowns", "attribution", NESTING, OVERLAP],
    )
    official = indicator.filter(pl.col("protection") == "official")
    group = _read_csv(settings.seeds / "reference" / "student_group.csv", ["breakdown_code", "group_code"])
    with open_vault(settings) as connection:
        key = secret(connection, "suppression")
    key = key.encode() if isinstance(key, str) else bytes(key)

    with duckdb.connect(str(settings.warehouse_file)) as warehouse:
        cube, organization = _read_warehouse(warehouse, official["indicator_code"].to_list())
    open_families = _open_families(cube, official)
    family = ["indicator_code", "subject_code", "cohort_year"]
    closed = cube.join(open_families, on=family, how="anti")
    declaration = declare(closed, organization, group, official)
    earlier = beside(declaration, read_earlier(settings, build_id))
    protected = protect(declaration, policy, bands, key, earlier, recall(settings, build_id))
    table = pl.concat([rows(protected, bands), _window_open_rows(cube.join(open_families, on=family, how="semi"))])

    with duckdb.connect(str(settings.warehouse_file)) as warehouse:
        _write_table(warehouse, table)
    forget(settings, build_id)
    _write_evidence(settings, build_id, protected, table)
    keep(settings, build_id, protected.kept)
    statuses = Counter(table["value_status"].to_list())
    summary = OfficialSummary(
        families=closed.select(family).n_unique() if closed.height else 0,
        window_open_families=open_families.height,
        cells=declaration.cells.height,
        shown=statuses["shown"],
        banded=statuses["banded"],
        suppressed=statuses["suppressed"],
        withdrawn=statuses["withdrawn"],
        no_students=statuses["no_students"],
        findings_repaired=sum(protected.repaired.values()),
        findings_left=len(protected.detection.findings),
        certified=protected.certificates.certified.height if protected.certificates else 0,
        uncertified=len(protected.certificates.uncertified) if protected.certificates else 0,
        repair_rounds=protected.rounds,
        blocks=protected.detection.blocks,
        largest_block=protected.detection.largest_block,
        seconds=round(time.monotonic() - started, 3),
    )
    check_result.record(settings, build_id, "disclosure", _checks(protected, official))
    say(
        f"official tables: {summary.cells} cells of {summary.families} families, {summary.shown} shown, "
        f"{summary.banded} banded, {summary.suppressed} suppressed, {summary.findings_left} findings left"
    )
    return summary


# --- reading ----------------------------------------------------------------------------------------------


def _read_csv(path: Path, columns: list[str]) -> pl.DataFrame:
    with path.open(newline="", encoding="utf-8") as handle:
        reader = csv.DictReader(handle)
        missing = sorted(set(columns) - set(reader.fieldnames or []))
        if missing:
            raise P20wError(f"{path.name} lacks the column {', '.join(missing)}. Add it.")
        content = [{column: (row[column] or "").strip() for column in columns} for row in reader]
    return pl.DataFrame(content, schema=dict.fromkeys(columns, pl.String))


def _read_warehouse(warehouse: duckdb.DuckDBPyConnection, codes: list[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    cube = warehouse.execute(
        f"SELECT {', '.join(CUBE)} FROM cubes.cube_indicator WHERE list_contains(?::VARCHAR[], indicator_code)",
        [codes],
    ).pl()
    organization = warehouse.execute(
        "SELECT organization_key, organization_level, organization_id_state, lea_key FROM core.dim_organization"
    ).pl()
    return cube, organization


def _open_families(cube: pl.DataFrame, official: pl.DataFrame) -> pl.DataFrame:
    """Cohorts that get no number yet: someone's window is open, in this indicator or in one nested with it.

    Nested tables of a cohort are published together. A published one is frozen; one that followed later would be
    suppressed without it, and their difference could be a handful of people. Overlapping ones need not wait: the
    graduation rate is due long before the college window closes, and only the later table hides for the two of them.
    """
    chains = {code: min(linked) for code, linked in linked_families(official.to_dicts(), by=(NESTING,)).items()}
    family = ["subject_code", "cohort_year"]
    chain = pl.col("indicator_code").replace_strict(chains, default=pl.col("indicator_code"), return_dtype=pl.String)
    is_open = cube.filter(pl.col("window_open_count") > 0).select(*family, chain=chain).unique()
    return (
        cube.select("indicator_code", *family, chain=chain)
        .unique()
        .join(is_open, on=[*family, "chain"], how="semi")
        .select("indicator_code", *family)
        .sort("indicator_code", *family)
    )


def _window_open_rows(cube: pl.DataFrame) -> pl.DataFrame:
    """One row without a number for each organization of a cohort whose window is open."""
    whole = cube.filter(pl.col("breakdown_code") == ALL)
    empty = pl.lit(None, dtype=pl.Int64)
    return whole.select(
        "indicator_code",
        "subject_code",
        "cohort_year",
        "organization_key",
        "school_year",
        "breakdown_code",
        "group_code",
        denominator_count=empty,
        numerator_count=empty,
        rate=empty,
        rate_low=empty,
        rate_high=empty,
        rate_label=pl.lit(""),
        value_status=pl.lit("window_open"),
        suppression_reason=pl.lit("window_open"),
    )


# --- writing ----------------------------------------------------------------------------------------------


def _write_table(warehouse: duckdb.DuckDBPyConnection, table: pl.DataFrame) -> None:
    """Replace protected.official_indicator."""
    fixed = {
        "organization_level": "o.organization_level",
        "organization_id_state": "o.organization_id_state",
        "organization_id_nces": "o.organization_id_nces",
        "organization_name": "o.organization_name",
        "lea_id_state": "o.lea_id_state",
        "lea_name": "o.lea_name",
        "value_amount": "NULL",
        "value_unit": "NULL",
        "protection": "'official'",
    }
    # A DECIMAL from whole millionths is exact; dividing would pass through floating point.
    fixed |= {name: f"t.{name}::DECIMAL(15,0) * 0.000001::DECIMAL(9,6)" for name in MILLIONTHS}
    select = ", ".join(f"CAST({fixed.get(c, 't.' + c)} AS {kind}) AS {c}" for c, kind in COLUMNS.items())
    order = (
        "indicator_code, subject_code, cohort_year, organization_level, organization_id_state, "
        "breakdown_code, group_code"
    )
    replace_table(
        warehouse,
        "official_indicator",
        table,
        f"SELECT {select} FROM given t JOIN core.dim_organization o USING (organization_key) ORDER BY {order}",
    )


def _write_evidence(settings: Settings, build_id: str, protected: Protected, table: pl.DataFrame) -> None:
    folder = settings.evidence / "disclosure"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    pattern = protected.pattern
    cells = protected.declaration.cells
    evidence = cells.select(
        pl.lit(build_id).alias("build_id"),
        "cell",
        "indicator_code",
        "subject_code",
        "cohort_year",
        "school_year",
        "organization_key",
        "organization_level",
        "organization_id_state",
        "breakdown_code",
        "group_code",
        "denominator_count",
        "numerator_count",
    ).with_columns(
        is_primary_denominator=pl.Series(pattern.primary_d),
        is_primary_numerator=pl.Series(pattern.primary_n),
        is_decoy=pl.Series(pattern.decoy),
        is_hidden_for_room=pl.Series(pattern.late),
        is_denominator_hidden=pl.Series(pattern.hide_d),
        is_numerator_hidden=pl.Series(pattern.hide_n | pattern.hide_d),
        band=pl.Series(pattern.band),
        part=pl.Series(protected.part),
        value_status=table["value_status"].head(cells.height),
    )
    evidence.write_parquet(folder / f"{build_id}.parquet")
    found = [
        {"build_id": build_id, "rule": f.rule, "variable": f.variable, "cell": f.cell, "sentence": f.sentence}
        for f in protected.detection.findings
    ]
    schema = {"build_id": pl.String, "rule": pl.String, "variable": pl.String, "cell": pl.Int64, "sentence": pl.String}
    pl.DataFrame(found, schema=schema).write_parquet(folder / f"{build_id}__finding.parquet")
    if protected.certificates is not None:
        protected.certificates.moves.write_parquet(folder / f"{build_id}__move.parquet")
        protected.certificates.certified.write_parquet(folder / f"{build_id}__certified.parquet")


def _checks(protected: Protected, official: pl.DataFrame) -> list[dict]:
    """One check per rule of detection, one per declared sum. Messages hold no figure of a cell."""
    detection, declaration = protected.detection, protected.declaration
    families = ";".join(official["indicator_code"].to_list())
    if not declaration.cells.height:
        message = "There is no official table with a closed window to protect in this build."
        return [_check("detection", "not_applicable", 0, 0, message, families)]
    found = Counter(finding.rule for finding in detection.findings)
    hidden = detection.hidden_count
    words = {
        "residual": "a sum of hidden cells describes too few people",
        "bounds": "a hidden value follows, or nearly follows, from sums, bands and whole numbers",
        "determined": "a hidden value follows from several sums together",
        "program": "a hidden value is too narrow when all ties are used at once",
        "inconsistent": "what is published contradicts itself",
    }
    results = []
    for rule, meaning in words.items():
        count = found.get(rule, 0)
        message = (
            f"{count} hidden values can be worked out: {meaning}. The release is refused; see the restricted findings."
            if count
            else f"Nothing found ({meaning}), over {detection.blocks} linked blocks of hidden values."
        )
        results.append(_check(rule, "fail" if count else "pass", count, hidden, message, families))
    certificates = protected.certificates
    without = len(certificates.uncertified) if certificates else hidden
    results.append(
        _check(
            "certificate",
            "fail" if without or protected.flaws else "pass",
            max(without, len(protected.flaws)),
            certificates.certified.height + without if certificates else hidden,
            f"{without} sensitive values have no certificate. The release is refused; hide more or coarsen their block."
            if without
            else " ".join(protected.flaws)
            or "Every sensitive value has an integer certificate, and all of them hold in plain SQL.",
            families,
        )
    )
    partly = detection.partly_solved_blocks
    results.append(
        _check(
            "program_coverage",
            "warn" if partly else "pass",
            partly,
            detection.blocks,
            f"{partly} of {detection.blocks} linked blocks were too large for linear programs over all of their ties "
            "at once and were attacked in parts; bounds and null space were applied to all.",
            families,
            severity="warn",
        )
    )
    for rule in ("partition", "additivity"):
        mine = [problem for problem in declaration.problem if problem["rule"] == rule]
        codes = sorted({problem["indicator_code"] for problem in mine})
        for code in codes:
            count = sum(problem["count"] for problem in mine if problem["indicator_code"] == code)
            message = " ".join(problem["message"] for problem in mine if problem["indicator_code"] == code)
            results.append(
                _check(rule, "fail", count, declaration.relation.count, message, code, category="conformance")
            )
        if not codes:
            results.append(
                _check(
                    rule,
                    "pass",
                    0,
                    declaration.relation.count,
                    "Every declared sum adds up.",
                    families,
                    category="conformance",
                )
            )
    return results


def _check(
    rule: str,
    status: str,
    failing: int,
    total: int,
    message: str,
    family: str,
    severity: str = "error",
    category: str = "disclosure",
) -> dict:
    return {
        "check_id": f"disclosure.official_indicator.{rule}",
        "layer": "disclosure",
        "category": category,
        "severity": severity,
        "status": status,
        "failing_count": int(failing),
        "total_count": int(total),
        "family": family,
        "message": message,
    }
