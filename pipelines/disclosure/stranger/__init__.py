"""The release as a stranger attacks it: published files in, what they give away out.

What belongs here: reading published tables and rules, and what follows from them. What does not: anything that only
the data team knows (exact counts, which cells are small, the pattern's reasons); no module of protection is used.
"""
