"""From judged marts to a published folder: candidate, gate, build, publish, verify. Rules about data live elsewhere."""
