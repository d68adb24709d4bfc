"""Command lines, one module each."""
