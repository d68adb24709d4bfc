"""One corpus = one pure function that makes a Kaldi data directory; no torch here."""
