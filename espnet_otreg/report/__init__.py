"""From the numbers of an experiment to RESULTS.md and its pictures; nothing here is typed."""
