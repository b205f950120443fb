"""The synthetic state that stands in for real agencies.

What belongs here: life courses drawn from a seed, the deliveries that five sectors' agencies would send about them in
their own formats, the truth behind the deliveries, and faults on request. What does not: anything that reads
deliveries. Everything is invented; the truth holds numbers of persons and of rows, no names.
"""

from pipelines.demo_state.faults import FAULTS, Planted, plant
from pipelines.demo_state.generate import DemoSummary, generate
from pipelines.demo_state.landing import linkable_pairs

__all__ = ["FAULTS", "DemoSummary", "Planted", "generate", "linkable_pairs", "plant"]
