"""Features of a frozen speech encoder, written once and read in training."""
