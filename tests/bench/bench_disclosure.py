"""`make bench-disclosure`: protection of a synthetic state's counts, and of shares, at growing size: time and memory.

What belongs here: a state with the shape of real ones (districts of unequal size, schools with a span of grades, rare
groups), runs in processes of their own, and build/bench/disclosure.json: a list of {case, cells, primaries,
secondaries, determined, residuals_under_n, uncertified, wall_s, cpu_s, peak_mib} and the parts of the time. What does
not: a bar; figures of one run on one machine are compared with each other, never with a fixed time.

counts: zeros are shown. real family: every count with a numerator and its complement, bands, zeros hideable. cells are
counts above 0; of the real family primaries and secondaries are those of all three numbers. wall_s and cpu_s are of the
suppression with its certificates, not of reading, verifying and writing the file, which are given beside them. Cases of
changed blocks are of `p20w protect --by-block --before` after 1% of the blocks changed, from the file to the file and
its evidence, all of reading, verifying and writing included; beside it {blocks, changed, moves, whole_wall_s,
whole_cpu_s, whole_peak_mib (of the run before), ratio (of CPU)}. What they hide is verified once more, without seals.
--only runs some cases and leaves the rows of the others as they are.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
import yaml

from pipelines.settings import ROOT

DISTRICTS = {"counts 0.14 million": 100, "counts 0.7 million": 500, "counts 1.4 million": 1_000}
DISTRICTS["counts 7 million"] = 5_000
GRADES = ["PK", "KG", *(f"{grade:02d}" for grade in range(1, 13)), "UG"]
SPANS = ((0, 7), (1, 8), (7, 10), (10, 14), (1, 10), (0, 14))  # from and to, of GRADES
SPAN_SHARES = (0.3, 0.25, 0.14, 0.16, 0.1, 0.05)
GROUPS = {
    "gender": (("female", 0.4885), ("male", 0.5095), ("nonbinary", 0.002)),
    "race": (
        ("american_indian", 0.009),
        ("asian", 0.055),
        ("black", 0.15),
        ("hispanic", 0.28),
        ("pacific_islander", 0.004),
        ("two_or_more", 0.05),
        ("white", 0.452),
    ),
    "economic": (("disadvantaged", 0.5), ("not_disadvantaged", 0.5)),
    "english": (("learner", 0.1), ("not_learner", 0.9)),
    "disability": (("disability", 0.14), ("no_disability", 0.86)),
}
FAMILY = {
    "count": "students",
    "minimum": 10,
    "zeros": "shown",
    "interval": 3,
    "dimensions": [
        {"column": "school", "total": "state", "parents": ["district"]},
        {
            "column": "student_group",
            "total": "all",
            "breakdowns": [[code for code, _ in groups] for groups in GROUPS.values()],
        },
        {"column": "grade", "total": "all", "parents": []},
    ],
}


REAL = {name.replace("counts", "real family"): districts for name, districts in DISTRICTS.items()}
REAL_FAMILY = FAMILY | {
    "zeros": "hideable",
    "numerator": "absent_often",
    "bands": [{"from": 20, "ends": 0.2}, {"from": 60, "ends": 0.1}, {"from": 300, "ends": 0.05}],
}
REPEATED = {
    f"{name}, 1% of the blocks changed": REAL[name] for name in ("real family 0.14 million", "real family 1.4 million")
}
CASES = [*DISTRICTS, *REAL, *REPEATED]
ABSENT = {"disadvantaged": 1.5, "not_disadvantaged": 0.5, "disability": 1.4, "asian": 0.5, "black": 1.3}


def state(districts: int, seed: int = 2026, numerators: bool = False) -> pl.DataFrame:
    """Counts above 0 of every school by group and grade, `all` groups included: about 1,300 cells a district.

    Ten schools a district on average, unequally; 767 students a school; the make-up of groups differs by district.
    numerators: with a column of those often absent, about a fifth, more in some schools and groups.
    """
    rng = np.random.default_rng(seed)
    share = rng.lognormal(0, 0.9, districts)
    district = np.concatenate([np.arange(districts), rng.choice(districts, 9 * districts, p=share / share.sum())])
    district.sort()
    schools = len(district)
    span = rng.choice(len(SPANS), schools, p=SPAN_SHARES)
    first, last = (np.array(SPANS)[span, side] for side in (0, 1))
    grade = np.arange(len(GRADES))
    open_ = (grade >= first[:, None]) & (grade < last[:, None])
    open_[:, -1] = rng.random(schools) < 0.08  # ungraded
    size = rng.lognormal(np.log(767 / np.exp(0.3**2 / 2)) - np.log(6.2), 0.45, schools)
    weight = np.where(grade == len(GRADES) - 1, 0.4, 1.0)
    people = rng.poisson(size[:, None] * weight * rng.lognormal(0, 0.08, open_.shape) * open_)
    at = np.flatnonzero(people)
    school, level = np.unravel_index(at, people.shape)
    total = people.ravel()[at]
    codes, counts = ["all"], [total]
    second = np.random.default_rng(seed + 1)  # of its own: the counts are the same with and without numerators
    absent = second.binomial(total, second.beta(4, 16, schools)[school])
    numbers = [absent]
    for groups in GROUPS.values():
        base = np.array([part for _, part in groups])
        mix = rng.dirichlet(base * 12 + 0.02, districts) if len(groups) > 3 else np.tile(base, (districts, 1))
        mix = 0.9 * mix + 0.1 * base
        drawn = rng.multinomial(total, mix[district[school]])
        codes += [code for code, _ in groups]
        counts += list(drawn.T)
        if numerators:
            numbers += _part_of(drawn, absent, np.array([ABSENT.get(code, 1.0) for code, _ in groups]), second)
    table = np.concatenate(counts)
    group = np.repeat(np.arange(len(codes)), len(at))
    school, level = np.tile(school, len(codes)), np.tile(level, len(codes))
    kept = table > 0
    group, school, level = group[kept], school[kept], level[kept]
    names = pl.Series([f"S{number:05d}" for number in range(schools)])
    places = pl.Series([f"D{number:04d}" for number in district])
    return pl.DataFrame(
        {
            "school": names.gather(school),
            "district": places.gather(school),
            "student_group": pl.Series(codes).gather(group),
            "grade": pl.Series(GRADES).gather(level),
            "students": table[kept],
            **({"absent_often": np.concatenate(numbers)[kept]} if numerators else {}),
        }
    )


def _part_of(drawn: np.ndarray, total: np.ndarray, weight: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Numerators of the groups of one breakdown that sum to those of all: group after group, by weight."""
    found, left = [], total.copy()
    for k in range(drawn.shape[1]):
        rest = drawn[:, k + 1 :]
        heavy = (rest * weight[k + 1 :]).sum(axis=1)
        share = drawn[:, k] * weight[k] / np.maximum(drawn[:, k] * weight[k] + heavy, 1e-9)
        part = rng.binomial(left, np.clip(share, 0, 1))
        part = np.clip(part, left - rest.sum(axis=1), np.minimum(drawn[:, k], left))
        found.append(part)
        left = left - part
    return found


def one(case: str) -> dict:
    """One size in this process: protected, verified and written; the time of each part, the memory up to the proof."""
    from pipelines.disclosure.table.family import read_counts, read_family, write_table
    from pipelines.disclosure.table.problem import pose
    from pipelines.disclosure.table.protect import choose, evidence_parts, protected_frame
    from pipelines.disclosure.table.verify import verify

    with tempfile.TemporaryDirectory() as folder:
        family, table = Path(folder) / "family.yml", Path(folder) / "state.parquet"
        is_real = case in REAL
        family.write_text(yaml.safe_dump(REAL_FAMILY if is_real else FAMILY))
        # In a process of its own: memory is measured here.
        subprocess.run([sys.executable, __file__, "--make", case, table], check=True)
        began = time.monotonic()
        exact = read_counts(table, read_family(family))
        read = time.monotonic() - began
        used = resource.getrusage(resource.RUSAGE_SELF)
        cpu = used.ru_utime + used.ru_stime
        began = time.monotonic()
        problem = pose(exact, b"a key for the bench, not secret")
        proof = choose(problem)
        wall = time.monotonic() - began
        used = resource.getrusage(resource.RUSAGE_SELF)
        hidden = problem.primary | proof.touched(len(problem.value))
        cells = int((problem.value[:: 3 if is_real else 1] > 0).sum())
        primaries = int((problem.primary & ~problem.decoy).sum())
        del problem  # as `p20w protect` does
        began = time.monotonic()
        frame = protected_frame(exact, hidden)
        wrong = verify(exact, frame, *evidence_parts(exact, proof))
        verified = time.monotonic() - began
        began = time.monotonic()
        write_table(frame, Path(folder) / "out.parquet")
        written = time.monotonic() - began
    whole = resource.getrusage(resource.RUSAGE_SELF)
    in_mib = 1024 if sys.platform != "darwin" else 1024 * 1024
    told = hidden.sum() - len(np.unique(np.concatenate([proof.cell, proof.certified])))
    return {
        "case": case,
        "cells": cells,
        "primaries": primaries,
        "secondaries": int(hidden.sum()) - primaries,
        **_verdict(int(told), wrong),
        "wall_s": round(wall, 1),
        "cpu_s": round(used.ru_utime + used.ru_stime - cpu, 1),
        "peak_mib": round(used.ru_maxrss / in_mib),
        "read_s": round(read, 1),
        "verify_s": round(verified, 1),
        "write_s": round(written, 1),
        "peak_with_verify_mib": round(whole.ru_maxrss / in_mib),
        "failed_checks": wrong,
    }


def repeated(case: str) -> dict:
    """One size by block: whole, then with one person more in 1% of the blocks, at least in one. Each in its process."""
    from pipelines.disclosure.table.blocks import cut
    from pipelines.disclosure.table.family import read_counts, read_family
    from pipelines.disclosure.table.verify import verify_files

    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "family.yml").write_text(yaml.safe_dump(REAL_FAMILY))
        (folder / "key").write_text("0f" * 32)  # for the bench, not secret
        frame = state(REPEATED[case], numerators=True)
        frame.write_parquet(folder / "state.parquet")
        whole = _timed(folder, "whole")
        exact = read_counts(folder / "state.parquet", read_family(folder / "family.yml"))
        blocks = cut(exact)
        changed = blocks[: -(-len(blocks) // 100)]
        schools = {exact.dimensions[0].codes[codes[-1]] for codes in changed}  # schools come last
        frame = _with_one_more(frame, schools)
        frame.write_parquet(folder / "state.parquet")
        part = _timed(folder, "changed", "whole")
        wrong = verify_files(*(folder / name for name in ("state.parquet", "family.yml", "out.parquet", "changed")))
        proof = [pl.scan_parquet(folder / "changed" / f"{name}.parquet") for name in ("certificates", "certified")]
        cell = [dimension.column for dimension in exact.dimensions]
        moved = pl.concat([each.select(pl.col(cell).cast(pl.String)) for each in proof]).unique().select(pl.len())
        secondaries = part["decoys"] + part["partners"]
        told = part["primaries"] + secondaries - moved.collect().item()
        cells = int((read_counts(folder / "state.parquet", exact.family).value[..., 0] > 0).sum())
    return {
        "case": case,
        "cells": cells,
        "primaries": part["primaries"],
        "secondaries": secondaries,
        **_verdict(told, wrong),
        **{name: part[name] for name in ("wall_s", "cpu_s", "peak_mib")},
        "blocks": part["blocks"],
        "changed": part["blocks"] - part["reused"],
        "moves": part["moves"],
        **{f"whole_{name}": whole[name] for name in ("wall_s", "cpu_s", "peak_mib")},
        "ratio": round(part["cpu_s"] / whole["cpu_s"], 3),
        "failed_checks": wrong,
    }


def _verdict(told: int, wrong: list[str]) -> dict:
    """told: hidden cells that no verified move changes: one that a move changes is not determined. wrong: of verify."""
    return {
        "determined": told,
        "residuals_under_n": sum(int(text.split()[0]) for text in wrong if "for their hidden members" in text),
        "uncertified": sum(int(text.split()[0]) for text in wrong if "no move" in text or "any move" in text),
    }


def _with_one_more(frame: pl.DataFrame, schools: set[str]) -> pl.DataFrame:
    """One more of the most usual make-up in these schools, in the first grade that has all of these groups."""
    groups = ["all", *(max(parts, key=lambda part: part[1])[0] for parts in GROUPS.values())]
    mine = pl.col("school").is_in(schools) & pl.col("student_group").is_in(groups)
    full = frame.filter(mine).group_by("school", "grade").len().filter(pl.col("len") == len(groups))
    full = full.sort("school", "grade").unique("school", keep="first", maintain_order=True).drop("len")
    more = frame.select("school", "grade").join(
        full.with_columns(one=1), on=["school", "grade"], how="left", maintain_order="left"
    )
    return frame.with_columns(pl.col("students") + (mine & (more["one"] == 1).fill_null(False)).cast(pl.Int64))


def _timed(folder: Path, *names: str) -> dict:
    """What protect_file did in a process of its own, and what that took. names: its evidence, an earlier one."""
    done = subprocess.run([sys.executable, __file__, "--protect", folder, *names], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"protection failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def protected(folder: Path, name: str, before: str | None = None) -> dict:
    """The same in this process."""
    from pipelines.disclosure.table.protect import protect_file

    began = time.monotonic()
    table, family, key = (folder / each for each in ("state.parquet", "family.yml", "key"))
    earlier = folder / before if before else None
    done = protect_file(table, family, folder / "out.parquet", key, folder / name, by_block=True, before=earlier)
    used = resource.getrusage(resource.RUSAGE_SELF)
    return vars(done) | {
        "wall_s": round(time.monotonic() - began, 1),
        "cpu_s": round(used.ru_utime + used.ru_stime, 1),
        "peak_mib": round(used.ru_maxrss / (1024 if sys.platform != "darwin" else 1024 * 1024)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", metavar="CASE")
    parser.add_argument("--make", nargs=2, metavar=("CASE", "FILE"))
    parser.add_argument("--protect", nargs="+", metavar=("FOLDER", "NAME"))
    parser.add_argument("--only", metavar="CASE", action="append", choices=CASES)
    chosen = parser.parse_args()
    if chosen.make:
        case = chosen.make[0]
        state((DISTRICTS | REAL)[case], numerators=case in REAL).write_parquet(chosen.make[1])
        return
    if chosen.protect:
        print(json.dumps(protected(Path(chosen.protect[0]), *chosen.protect[1:])))
        return
    if chosen.one:
        print(json.dumps((repeated if chosen.one in REPEATED else one)(chosen.one)))
        return
    out = ROOT / "build" / "bench" / "disclosure.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    for case in chosen.only or CASES:
        done = subprocess.run([sys.executable, __file__, "--one", case], capture_output=True, text=True, cwd=ROOT)
        if done.returncode:
            sys.exit(f"{case} failed:\n{done.stderr[-2000:]}")
        row = json.loads(done.stdout.splitlines()[-1])
        print(" ".join(f"{value}" for value in row.values()), flush=True)
        keep(out, row)
    print(f"Written: {out.relative_to(ROOT)}")


def keep(out: Path, row: dict) -> None:
    """Put the row of one case into the file, in the place of an earlier one; rows of other cases stay."""
    rows = {each["case"]: each for each in json.loads(out.read_text())} if out.exists() else {}
    rows[row["case"]] = row
    out.write_text(json.dumps([rows[case] for case in CASES if case in rows], indent=1) + "\n")


if __name__ == "__main__":
    main()
