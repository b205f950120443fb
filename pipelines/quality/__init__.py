"""Results of all checks, whoever made them, and what they say together. Decisions are in `pipelines.release`."""
