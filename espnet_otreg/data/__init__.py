"""Preparation of corpora as Kaldi data directories; imports no torch."""
