"""From the scores and analyses of an experiment to its report, RESULTS.md and pictures."""
