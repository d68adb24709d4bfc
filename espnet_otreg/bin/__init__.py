"""Command lines, one per verb."""
