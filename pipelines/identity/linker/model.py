"""How two records are compared, and how much each agreement weighs.

What belongs here: the levels of a comparison in SQL, the training of their weights, and the scoring by Splink. What
does not: which pairs are compared (candidate.py), and groups (group.py).

Theory: Fellegi and Sunter (1969). A level weighs log2(m / u): the share of matches at that level over the share of
strangers at it. u is counted on random pairs of the table itself; m starts at a shipped prior (a policy seed) and is
moved by expectation maximisation over the candidates, by shrinkage: where few matches are expected it stays at the
prior, and no level is left unset. Splink 5 scores, with term frequencies: agreeing on a rare value weighs more.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from pipelines.errors import P20wError
from pipelines.registers import rows_in_force

ROUNDS = 60
PASSES = 3
NUMBERS = {"ssn", "state_id", "number"}


@dataclass(frozen=True)
class Level:
    """One way in which two values can stand to each other; `by_frequency`: rare values weigh more."""

    name: str
    prior: float
    by_frequency: bool


@dataclass(frozen=True)
class Model:
    """Comparisons and, for each, the shares of matches (m) and of strangers (u) at its levels, in order.

    `match_share`: of all pairs of records; `twin_bits`: against pairs that look like twins, where both given names
    recur and where not; `relative_bits`: against pairs that look like relatives (see twin_comparison).
    """

    comparisons: dict[str, list[Level]]
    m: dict[str, np.ndarray]
    u: dict[str, np.ndarray]
    match_share: float
    twin_bits: tuple[float, float]
    relative_bits: float = 0.0


def load_levels(path: Path, as_of: date) -> dict[str, list[Level]]:
    """Comparison -> its levels in force on a day, strongest first. Raises P20wError for a level that nobody wrote in
    SQL."""
    found: dict[str, list[Level]] = {}
    for line, row in rows_in_force(path, "comparison", as_of):
        comparison, level = row["comparison"], row["level"]
        if level != "different" and level not in conditions(comparison):
            raise P20wError(f"{path.name}, line {line}: {comparison} knows no level '{level}'.")
        found.setdefault(comparison, []).append(
            Level(level, float(row["prior_match_share"]), row["by_frequency"] == "true")
        )
    for comparison, levels in found.items():
        total = sum(level.prior for level in levels)
        if levels[-1].name != "different" or abs(total - 1) > 1e-6 or min(level.prior for level in levels) <= 0:
            raise P20wError(
                f"{path.name}: the shares of {comparison} must be above 0, sum to 1 (they sum to {total:.4f}) and end "
                "with 'different'."
            )
    return found


def conditions(comparison: str, left: str = '"{}_l"', right: str = '"{}_r"') -> dict[str, str]:
    """Level -> SQL over two records, all but the last level ('different')."""

    def both(column: str) -> tuple[str, str]:
        return left.format(column), right.format(column)

    def equal(column: str) -> str:
        return "{} = {}".format(*both(column))

    def like(column: str, least: float) -> str:
        return "jaro_winkler_similarity({}, {}) >= {}".format(*both(column), least)

    def signs(column: str, most: int) -> str:
        return _signs_differ(*both(column), most)

    a, b = both(comparison)
    given_a, given_b = both("given")
    surname_a, surname_b = both("surname")
    swapped = " AND ".join(
        f"jaro_winkler_similarity({x}, {y}) >= 0.9" for x, y in ((given_a, surname_b), (surname_a, given_b))
    )
    initial = f"least(length({a}), length({b})) = 1 AND left({a}, 1) = left({b}, 1)"
    number = {"exact": equal(comparison), "one_digit": signs(comparison, 1), "two_digits": signs(comparison, 2)}
    text = {"exact": equal(comparison), "close": like(comparison, 0.9), "near": like(comparison, 0.8)}
    return {
        "given": {
            "exact": equal("given"),
            "root": equal("given_root"),
            "close": like("given", 0.9),
            "swapped": swapped,
            "initial": initial,
            "near": like("given", 0.78),
        },
        "surname": {
            "exact": equal("surname"),
            "swapped": swapped,
            "close": like("surname", 0.92),
            "part": f"least(length({a}), length({b})) >= 3 AND (contains({a}, {b}) OR contains({b}, {a}))",
            "near": like("surname", 0.82),
        },
        "middle": {"exact": equal("middle"), "initial": f"left({a}, 1) = left({b}, 1)"},
        "birth": {
            "exact": equal("birth"),
            "swapped": f"length({a}) = 8 AND {a} = left({b}, 4) || substr({b}, 7, 2) || substr({b}, 5, 2)",
            "one_digit": signs("birth", 1),
            "two_digits": signs("birth", 2),
            "year": equal("birth_year"),
        },
        "postal": {"exact": equal("postal"), "one_digit": signs("postal", 1), "area": f"left({a}, 3) = left({b}, 3)"},
    }.get(comparison, number | text)


def _signs_differ(a: str, b: str, most: int) -> str:
    """SQL: at most `most` signs of two values of letters and digits differ; two neighbors exchanged are one.

    Of values of one length positions are counted first: the distance with insertions costs twenty times as much. All in
    CASE, which alone leaves the rest of a condition undone where it is not needed.
    """
    differ = f"hamming({a}, {b}) <= {most}"
    if most == 1:
        differ = f"CASE hamming({a}, {b}) WHEN 2 THEN damerau_levenshtein({a}, {b}) = 1 ELSE {differ} END"
    return (
        f"CASE WHEN strlen({a}) = strlen({b}) THEN {differ} "
        f"WHEN abs(strlen({a}) - strlen({b})) <= {most} THEN damerau_levenshtein({a}, {b}) <= {most} ELSE false END"
    )


def says_nothing(comparison: str, left: str = '"{}_l"', right: str = '"{}_r"') -> str:
    """SQL for pairs of which the comparison says nothing.

    Two issuers number the same person differently, so numbers of two sources say something only where they are equal.
    """
    a, b = left.format(comparison), right.format(comparison)
    absent = f"{a} IS NULL OR {b} IS NULL"
    if comparison != "number":
        return absent
    return f"{absent} OR ({left.format('source')} <> {right.format('source')} AND {a} <> {b})"


def levels_of(con: duckdb.DuckDBPyConnection, comparisons: dict[str, list[Level]], pairs: str) -> np.ndarray:
    """Level of every comparison for each pair of the relation `pairs` (a, b). Shape (pairs, comparisons), int8.

    0 is the strongest level; -1: one of the two says nothing.
    """
    cases = []
    for name, levels in comparisons.items():
        written = conditions(name, "x.{}", "y.{}")
        whens = " ".join(f"WHEN {written[level.name]} THEN {i}" for i, level in enumerate(levels[:-1]))
        silent = f"WHEN {says_nothing(name, 'x.{}', 'y.{}')} THEN -1"
        cases.append(f"CAST(CASE {silent} {whens} ELSE {len(levels) - 1} END AS TINYINT) AS {name}")
    found = con.execute(
        f"SELECT {', '.join(cases)} FROM ({pairs}) AS pair "
        "JOIN record AS x ON x.id = pair.a JOIN record AS y ON y.id = pair.b"
    ).fetchnumpy()
    return np.column_stack([np.asarray(found[name], dtype=np.int8) for name in comparisons])


def train(
    con: duckdb.DuckDBPyConnection,
    comparisons: dict[str, list[Level]],
    records: int,
    parameter: dict[str, float],
) -> Model:
    """Weights for this table: u from random pairs, m from the candidates by shrinkage to the prior.

    Pairs are drawn by hash, so that the same table gives the same model.
    """
    there = {name for (name,) in con.execute("SELECT column_name FROM (DESCRIBE record)").fetchall()}
    comparisons = {name: levels for name, levels in comparisons.items() if name in there}
    filled = con.execute("SELECT " + ", ".join(f"count({name})" for name in comparisons) + " FROM record").fetchone()
    used = {
        name: levels
        for (name, levels), count in zip(comparisons.items(), filled, strict=True)
        if count >= parameter["filled_share"] * records
    }
    drawn = (
        f"SELECT a, b FROM (SELECT 1 + CAST(hash(i || '|a') % {records} AS BIGINT) AS a, "
        f"1 + CAST(hash(i || '|b') % {records} AS BIGINT) AS b FROM range({int(parameter['random_pairs'])}) AS t(i)) "
        "WHERE a <> b"
    )
    strangers = levels_of(con, used, drawn)
    # Records tied beforehand are matches too; without them the errors of matches would seem more common than they are.
    every = "SELECT a, b FROM candidate UNION ALL SELECT knot, id FROM knot WHERE knot < id"
    candidates = con.execute(f"SELECT count(*) FROM ({every})").fetchone()[0]
    share = min(1.0, parameter["sampled_candidates"] / max(candidates, 1))
    sampled = levels_of(
        con, used, f"SELECT a, b FROM ({every}) WHERE hash(a || '|' || b) % 1000000 < {round(share * 1_000_000)}"
    )
    prior = [np.array([level.prior for level in levels]) for levels in used.values()]
    scale = candidates / max(len(sampled), 1)
    strangers, drawn_as = _patterns(strangers)
    sampled, sampled_as = _patterns(sampled)
    strange = np.ones(len(strangers))
    for _ in range(PASSES):
        u = [_shares(strangers[:, j], strange * drawn_as, len(levels)) for j, levels in enumerate(used.values())]
        for j, name in enumerate(used):
            if name in NUMBERS:
                u[j] = _of_number(con, name, u[j], parameter["number_error"])
        m, match_share, _ = _expectation_maximisation(
            sampled, sampled_as, u, prior, scale, records, parameter["prior_matches"]
        )
        # Some random pairs are one person's. In a small table they would make agreement among strangers look common.
        strange = 1 - _probability(strangers, m, u, match_share)
    # Where records carry numbers, that none agrees says more.
    table = "with_numbers" if NUMBERS & set(used) else "without_numbers"
    twin_bits = (parameter[f"twin_recurs_{table}"], parameter[f"twin_once_{table}"])
    m, u = (dict(zip(used, shares, strict=True)) for shares in (m, u))
    return Model(used, m, u, match_share, twin_bits, parameter[f"relative_{table}"])


def _shares(levels: np.ndarray, weight: np.ndarray, count: int) -> np.ndarray:
    """Share of the weighted pairs at each level, half a pair added to each so that none is impossible."""
    said = levels >= 0
    seen = np.bincount(levels[said], weights=weight[said], minlength=count) + 0.5
    return seen / seen.sum()


def _of_number(con: duckdb.DuckDBPyConnection, name: str, u: np.ndarray, error: float) -> np.ndarray:
    """u of a number: it is given to one person, so that strangers share it by error only.

    Random pairs are far too few to see that. error: share of records that bear another person's number.
    """
    different = con.execute(f"SELECT count(DISTINCT {name}) FROM record").fetchone()[0]
    shared = min(float(u[0]), error / max(different, 1))
    return np.concatenate([[shared], u[1:] * (1 - shared) / u[1:].sum()])


def _probability(levels: np.ndarray, m: list[np.ndarray], u: list[np.ndarray], share: float) -> np.ndarray:
    """Probability that each row of `levels` (pairs, comparisons) is a match, where `share` of all pairs are."""
    odds = np.full(len(levels), math.log(share / (1 - share)))
    for j, (own, strangers) in enumerate(zip(m, u, strict=True)):
        said = levels[:, j] >= 0
        odds[said] += np.log(own[levels[said, j]] / strangers[levels[said, j]])
    return 1 / (1 + np.exp(-np.clip(odds, -500, 500)))


def _patterns(levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Different rows of `levels` (pairs, comparisons), and how often each is met."""
    if not len(levels):
        return levels, np.empty(0)
    base = int(levels.max()) + 2
    code = np.zeros(len(levels), dtype=np.int64)
    for j in range(levels.shape[1]):  # at most 2**63 patterns: a handful of levels, fewer than twenty comparisons
        code = code * base + levels[:, j] + 1
    _, first, count = np.unique(code, return_index=True, return_counts=True)
    return levels[first], count.astype(np.float64)


def _expectation_maximisation(
    pattern: np.ndarray,
    count: np.ndarray,
    u: list[np.ndarray],
    prior: list[np.ndarray],
    scale: float,
    records: int,
    weight: float,
) -> tuple[list[np.ndarray], float, float]:
    """m of each comparison, the share of matches among all pairs, and the matches expected among the candidates.

    pattern: (patterns, comparisons) levels, met `count` times; scale: candidates each sampled pair stands for; weight:
    expected matches that count as much as the prior. u is kept: candidates share a key, so that they say nothing about
    strangers.
    """
    every_pair = max(records * (records - 1) / 2, 1)
    m = [each.copy() for each in prior]
    share, expected = min(0.5, 1 / max(records, 2)), 0.0
    for _ in range(ROUNDS if len(pattern) else 0):
        matching = count * _probability(pattern, m, u, share)
        expected = float(matching.sum()) * scale
        before, share = share, min(max(expected / every_pair, 1e-12), 0.5)
        for j in range(len(m)):
            said = pattern[:, j] >= 0
            seen = np.bincount(pattern[said, j], weights=matching[said], minlength=len(prior[j]))
            m[j] = (seen + weight * prior[j]) / (seen.sum() + weight)
        if abs(math.log(share / before)) < 1e-6:
            break
    return m, share, expected


def score(con: duckdb.DuckDBPyConnection, model: Model, pairs: str, prepared: bool = False) -> pl.DataFrame:
    """Splink's match weight (bits) of each pair of the relation `pairs` (a, b), in order: a, b, weight, said.

    said: how many values of the pair could be compared. prepared: an earlier call on this connection scored pairs of
    the same records by the same model.
    """
    from splink import DuckDBAPI, Linker

    logging.getLogger("splink").setLevel(logging.ERROR)
    if not prepared:
        _prepare(con, model)
    con.execute(
        "CREATE OR REPLACE TABLE pair_to_score AS "
        f"SELECT '0' AS match_key, a AS join_key_l, b AS join_key_r FROM ({pairs})"
    )
    api = DuckDBAPI(connection=con)
    linker = Linker(api.register("compared"), splink_settings(model), log_level=None, validate_settings=False)
    for name in _by_frequency(model):
        linker.table_management.register_term_frequency_lookup(api.register(f"frequency_of_{name}"), name)
    linker.table_management.register_blocked_pairs_for_predict(api.register("pair_to_score"))
    found = linker.inference.predict().physical_name
    weighed = con.execute(
        f"SELECT least(id_l, id_r) AS a, greatest(id_l, id_r) AS b, CAST(match_weight AS DOUBLE) AS weight "
        f'FROM "{found}" ORDER BY a, b'
    ).pl()
    con.execute(f'DROP TABLE "{found}"')
    con.execute("DROP TABLE pair_to_score")
    return weighed.with_columns(said=_said(con, model, weighed["a"].to_numpy(), weighed["b"].to_numpy()))


def _by_frequency(model: Model) -> list[str]:
    return [name for name, levels in model.comparisons.items() if any(level.by_frequency for level in levels)]


def _prepare(con: duckdb.DuckDBPyConnection, model: Model) -> None:
    """Tables `compared` (what comparisons of the model read of each record, with the frequency of its values) and
    `frequency_of_<column>`. Splink would join frequencies to both sides of the pairs, column by column, every time."""
    counted = _by_frequency(model)
    read = {"id", "source", "name_recurs", "given", "given_root", "surname", "middle", "birth", "birth_year"}
    columns = sorted(read | set(model.comparisons))
    for name in counted:
        con.execute(
            f"CREATE OR REPLACE TABLE frequency_of_{name} AS SELECT {name}, "
            f"count(*) / (SELECT count({name})::DOUBLE FROM record) AS tf_{name} "
            f"FROM record WHERE {name} IS NOT NULL GROUP BY {name}"
        )
    con.execute(
        f"CREATE OR REPLACE TABLE compared AS SELECT {', '.join(f'record.{name}' for name in columns)}"
        + "".join(f", tf_{name}" for name in counted)
        + " FROM record"
        + "".join(f" LEFT JOIN frequency_of_{name} USING ({name})" for name in counted)
        + " ORDER BY id"
    )


def _said(con: duckdb.DuckDBPyConnection, model: Model, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How many values of each pair (ids from 1) can be compared: what says_nothing says, counted without a join."""
    filled = " + ".join(f"(({name} IS NOT NULL)::BIGINT << {i})" for i, name in enumerate(model.comparisons))
    number = "number" in model.comparisons
    found = con.execute(
        f"SELECT {filled} AS filled, hash(source) AS source, coalesce(hash({'number' if number else 'NULL'}), 0) "
        "AS number FROM compared ORDER BY id"
    ).fetchnumpy()
    mask, source, value = (np.asarray(found[name]) for name in ("filled", "source", "number"))
    said = np.bitwise_count(mask[a - 1] & mask[b - 1]).astype(np.float64)
    if number:
        own = np.int64(1) << list(model.comparisons).index("number")
        both = (mask[a - 1] & mask[b - 1] & own) != 0
        said -= both & (source[a - 1] != source[b - 1]) & (value[a - 1] != value[b - 1])
    return said


def twin_comparison(model: Model) -> list[dict]:
    """A comparison of fixed weight for pairs that look like twins: surname and birth date agree, given names do not.

    Agreements are not independent in a family, so that the sum of the weights would take twins for one person. No
    number may agree, and neither given name may be the other's middle name or its initial. It weighs most where both
    names are met again with this surname and birth date.
    """
    if not {"given", "surname", "birth"} <= set(model.comparisons):
        return []
    other_name = [f"NOT ({sql})" for sql in conditions("given").values()]
    if "middle" in model.comparisons:
        other_name += [
            f"NOT coalesce(contains({x}, {y}), false)"
            for x, y in (('"middle_l"', '"given_r"'), ('"middle_r"', '"given_l"'))
        ]
    # Twins enrolled together have neighboring numbers, so that only equal ones speak for one person.
    numbers = [f"NOT coalesce({conditions(name)['exact']}, false)" for name in sorted(NUMBERS & set(model.comparisons))]
    recurs, once = model.twin_bits
    written = conditions("surname")
    one_surname = f"({written['exact']} OR {written['close']})"
    # What is cheap and seldom true stands first: the rest is looked at for few pairs.
    sign = " AND ".join([conditions("birth")["exact"], one_surname, *other_name, *numbers])
    relatives = []
    if model.relative_bits:
        said = [f'"birth_{side}" IS NOT NULL' for side in "lr"]
        other_birth = [f"NOT ({sql})" for sql in conditions("birth").values()]
        family = " AND ".join([one_surname, *said, *other_birth, *numbers])
        relatives = [_fixed("like relatives", family, model.relative_bits)]
    return [
        {
            "output_column_name": "twin",
            "comparison_description": "twin",
            "comparison_levels": [
                _fixed("twins whose names recur", f'({sign}) AND "name_recurs_l" AND "name_recurs_r"', recurs),
                _fixed("like twins", sign, once),
                *relatives,
                _fixed("no twins", "ELSE", 0.0),
            ],
        }
    ]


def _fixed(label: str, condition: str, bits: float) -> dict:
    return {
        "label_for_charts": label,
        "sql_condition": condition,
        "m_probability": 0.5 * 2.0**bits,
        "u_probability": 0.5,
    }


def splink_settings(model: Model) -> dict:
    """The model as a settings dictionary of Splink 5."""
    comparisons = twin_comparison(model)
    for name, levels in model.comparisons.items():
        written = conditions(name)
        stated = [
            {
                "sql_condition": says_nothing(name),
                "label_for_charts": "nothing said",
                "is_null_level": True,
            }
        ]
        for level, m, u in zip(levels, model.m[name], model.u[name], strict=True):
            stated.append(
                {
                    "sql_condition": written.get(level.name, "ELSE"),
                    "label_for_charts": level.name,
                    "m_probability": float(m),
                    "u_probability": float(u),
                }
                | ({"tf_adjustment_column": name, "tf_adjustment_weight": 1.0} if level.by_frequency else {})
            )
        comparisons.append({"output_column_name": name, "comparison_levels": stated, "comparison_description": name})
    return {
        "link_type": "dedupe_only",
        "unique_id_column_name": "id",
        "comparisons": comparisons,
        "blocking_rules_to_generate_predictions": ["l.id = r.id"],
        "retain_intermediate_calculation_columns": False,
        "retain_matching_columns": False,
        "probability_two_random_records_match": model.match_share,
    }
