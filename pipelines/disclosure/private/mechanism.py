"""Noisy counts and percentiles by OpenDP: its transformations, its mechanisms, its randomness, its own account of loss.

What belongs here: building the measurements, calling them, and adding up what they cost. What does not: noise of our
own (there is none), who is counted where (earnings), and what may still be spent (budget).

Neighbors: two states of the records that differ by one person. Each statistic of a place is one measurement of a list
with at most one entry a person; its loss is what OpenDP's `map` says of a distance of 1.
- The count: length of the list, discrete Laplace noise.
- A percentile: candidates from earnings_low to earnings_high in steps of the policy's rounding, each scored by how far
  the shares of people below and above it are from the percentile, the best one by report noisy max. Earnings beyond
  the bounds count as beyond the last candidate. Unlike a clamped sum it needs no sensitivity in dollars.
How loss composes. In a place the statistics add up, since each of them reads the same people. The places of a level
do not: a person stands in one of them (earnings sees to it), and which places there are is public. Levels add up. So
one drawing costs levels x the sum of the statistics, never more than the policy's epsilon, of which each has an equal
part. Breakdowns are not told. Cohort years and families are drawn apart: for a person who stands in several, their
losses add up (the ledger's total of a family is the most for somebody in all of its cohorts).

The library marks every part used here `contrib`: its proofs are published, and not all vetted by its committee.
Employers are protected by these statistics only so far as their people are: a policy names levels with many employers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from pipelines.disclosure.private.policy import COUNT, STATISTICS, Private
from pipelines.errors import P20wError

MARGIN_CONFIDENCE = 0.95
MOST_CANDIDATES = 10_000


@dataclass(frozen=True)
class Mechanism:
    """statistics: statistic -> OpenDP's measurement; losses: statistic -> its epsilon by OpenDP's map; epsilon: of all
    levels and statistics; candidates: dollars; count_margin: people that the count is within, 95 times of 100."""

    statistics: Mapping[str, Any]
    losses: Mapping[str, float]
    epsilon: float
    candidates: list[int]
    count_margin: int
    description: dict


def library() -> Any:
    """OpenDP. Errors: P20wError where it is not installed."""
    try:
        import opendp.prelude as dp
    except ImportError:
        raise P20wError(
            "seeds/policy/private_statistic.csv has a row in force, and the library that draws private statistics is "
            "not installed. Install p20w with its extra `private` (OpenDP), then run the night again."
        ) from None
    dp.enable_features("contrib")
    return dp


def mechanism(private: Private, rounding: int) -> Mechanism:
    """What draws the statistics of one cohort year of a family. rounding: dollars between candidates."""
    dp = library()
    candidates = list(range(private.earnings_low, private.earnings_high + 1, rounding))
    if not 2 <= len(candidates) <= MOST_CANDIDATES:
        raise P20wError(
            f"private_statistic.csv: earnings of {private.family} from {private.earnings_low} to "
            f"{private.earnings_high} make {len(candidates)} steps of {rounding} dollars (median_rounding); choose "
            f"bounds that make 2 to {MOST_CANDIDATES}."
        )
    people = dp.vector_domain(dp.atom_domain(T=dp.i64)), dp.symmetric_distance()
    share = private.epsilon / (len(private.levels) * len(private.statistics))
    statistics, losses, told = {}, {}, {}
    for name in private.statistics:
        make = _count(dp, people) if name == COUNT else _percentile(dp, people, candidates, STATISTICS[name])
        # The library searches the least noise whose loss is within the share.
        scale = dp.binary_search_param(make, d_in=1, d_out=share, T=float)
        statistics[name] = make(scale)
        losses[name] = statistics[name].map(1)
        told[name] = {
            "mechanism": "count, discrete Laplace" if name == COUNT else "quantile scores, report noisy max",
            "scale": scale,
            "epsilon": losses[name],
        }
    margin = dp.laplacian_scale_to_accuracy(told[COUNT]["scale"], 1 - MARGIN_CONFIDENCE)
    return Mechanism(
        statistics,
        losses,
        len(private.levels) * sum(losses.values()),
        candidates,
        round(margin),
        {
            "library": f"opendp {version('opendp')}",
            "levels": list(private.levels),
            "statistics": told,
            "candidates": [candidates[0], candidates[-1], rounding],
            "count_margin": round(margin),
        },
    )


def draw(made: Mechanism, places: Iterable[tuple[dict, int, list[int]]]) -> list[dict]:
    """One result a place: its description with each statistic. places: (description, people found, earnings of those
    of them who have a whole year). Percentiles are put in order, which costs nothing: it reads results alone."""
    results = []
    for place, found, earnings in places:
        result = dict(place)
        percentiles = [name for name in made.statistics if name != COUNT]
        drawn = sorted(made.candidates[made.statistics[name](earnings)] for name in percentiles)
        result[COUNT] = made.statistics[COUNT]([1] * found)
        results.append(result | dict(zip(percentiles, drawn, strict=True)))
    return results


def _count(dp: Any, people: tuple) -> Callable[[float], Any]:
    return lambda scale: dp.t.make_count(*people) >> dp.m.then_laplace(scale)


def _percentile(dp: Any, people: tuple, candidates: list[int], share: float) -> Callable[[float], Any]:
    scores = dp.t.make_quantile_score_candidates(*people, candidates, share)
    return lambda scale: scores >> dp.m.then_noisy_max(dp.max_divergence(), scale, negate=True)
