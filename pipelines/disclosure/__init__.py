"""Official tables made safe: declare, suppress, detect, write. Everything else that is public is perturbed by dbt.

What belongs here: the rules of disclosure.md for exact, additive, annual tables. What does not: counting (cubes),
perturbation (a dbt macro), and the decision whether a release leaves (pipelines/release reads our check results).
"""
