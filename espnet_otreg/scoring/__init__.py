"""Scores of hypotheses against references; imports neither torch nor ESPnet."""
