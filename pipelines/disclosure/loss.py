"""What protection by perturbation costs: cells and people hidden, by the choice of policy that hides them.

What belongs here: counting, once a build, from the exact cubes and the candidate. What does not: hiding anything, and
how the counts are told (reports: exact in the restricted edition, in steps and for the state alone in the public one).
The loss of official tables follows from their own evidence (protect).
"""

from __future__ import annotations

import os

import duckdb

from pipelines.settings import Settings

_NEEDED = {"cubes.cube_indicator", "core.dim_organization", "seeds.indicator", "marts.mart_indicator__organization"}
_BUILT = "SELECT table_schema, table_name FROM information_schema.tables"
# cells: figures of at least one person. shown, small (fewer than the minimum, or a rest of fewer), official (an
# official table hides the count of the same people); the others wait for their window or have no outcome. people_*: in
# them. median_*: of cells in which anybody has an amount; those neither shown nor hidden for employers or by an
# official table have too few people, or stand beside a rate that is small.
_QUERY = """
WITH exact AS (
    SELECT c.indicator_code, c.subject_code, c.cohort_year, c.organization_level, o.organization_id_state,
        c.breakdown_code, c.group_code, c.amount_count,
        CASE WHEN r.value_kind = 'count' THEN c.numerator_count ELSE c.denominator_count END AS people,
        r.value_kind = 'rate_and_median' AND c.amount_count > 0 AS has_median
    FROM cubes.cube_indicator AS c
    INNER JOIN core.dim_organization AS o USING (organization_key)
    INNER JOIN seeds.indicator AS r ON r.indicator_code = c.indicator_code AND r.protection = 'perturbed'
),
cell AS (
    SELECT e.*, b.value_amount AS amount_before, a.value_amount AS amount_after, a.suppression_reason AS reason,
        CASE
            WHEN a.value_status = 'shown' THEN 'shown'
            WHEN a.value_status = 'suppressed' AND b.value_status = 'suppressed' THEN 'small'
            WHEN a.value_status = 'suppressed' THEN 'official'
            ELSE 'other'
        END AS outcome
    FROM exact AS e
    INNER JOIN marts.mart_indicator__organization AS b
        USING (indicator_code, subject_code, cohort_year, organization_level, organization_id_state, breakdown_code,
            group_code)
    INNER JOIN read_parquet(?) AS a
        USING (indicator_code, subject_code, cohort_year, organization_level, organization_id_state, breakdown_code,
            group_code)
    WHERE e.people > 0
)
SELECT indicator_code, organization_level, breakdown_code,
    count(*) AS cells,
    count(*) FILTER (outcome = 'shown') AS shown,
    count(*) FILTER (outcome = 'small') AS small,
    count(*) FILTER (outcome = 'official') AS official,
    sum(people)::BIGINT AS people,
    coalesce(sum(people) FILTER (outcome = 'small'), 0)::BIGINT AS people_small,
    coalesce(sum(people) FILTER (outcome = 'official'), 0)::BIGINT AS people_official,
    count(*) FILTER (has_median) AS median_cells,
    count(*) FILTER (amount_after IS NOT NULL) AS median_shown,
    count(*) FILTER (has_median AND amount_after IS NULL AND reason = 'few_people_or_employers') AS median_employers,
    count(*) FILTER (amount_before IS NOT NULL AND amount_after IS NULL) AS median_official
FROM cell
GROUP BY ALL ORDER BY ALL
"""


def write_perturbed_loss(settings: Settings, build_id: str) -> None:
    """Write evidence/disclosure/<build_id>__loss.parquet (restricted): one row an indicator, level and breakdown.

    Reads the warehouse of this build and its candidate. Where a night did not build what is counted, there is no file.
    """
    candidate = settings.candidate / "data" / "mart_indicator__organization.parquet"
    with duckdb.connect(str(settings.warehouse_file), read_only=True) as con:
        built = {f"{schema}.{name}" for schema, name in con.execute(_BUILT).fetchall()}
        if not candidate.exists() or _NEEDED - built:
            return
        counted = con.execute(_QUERY, [str(candidate)]).pl()
    path = settings.evidence / "disclosure" / f"{build_id}__loss.parquet"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.part")
    counted.write_parquet(temporary)
    os.replace(temporary, path)
