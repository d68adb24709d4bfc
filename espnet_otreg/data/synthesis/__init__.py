"""Speech from text: voices of free synthesisers, chosen in YAML, spoken into a data directory."""
