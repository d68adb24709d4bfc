"""Scores of hypotheses against references: no torch, no espnet, seconds on a laptop."""
