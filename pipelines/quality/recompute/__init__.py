"""A second computation of every indicator, from accepted files and person links, to hold the warehouse against.

What belongs here: the written rules (registers, policy seeds, definitions of the law) read once more, in Polars.
What does not: anything of the warehouse. No module here reads a model, a macro or a table of it, except `compare`,
which reads the finished cubes and nothing else; a shared line of code would repeat the error it should find.

One subject a module: `source` (rows as delivered), `group` (who belongs to which student group), `window` (which
outcome windows deliveries cover), `yearly` (indicators of one school year), `graduation`, `outcome` (college and
work after an award), `transition` (flows between stages), `cell` (counting), `compare`, `linkage` (what linkage error
does to the numbers).
"""

from pipelines.quality.recompute.compare import compare, compare_transitions
from pipelines.quality.recompute.linkage import linkage_effect, true_links
from pipelines.quality.recompute.run import found_links, recompute
from pipelines.quality.recompute.transition import recompute_transitions

__all__ = [
    "compare",
    "compare_transitions",
    "found_links",
    "linkage_effect",
    "recompute",
    "recompute_transitions",
    "true_links",
]
