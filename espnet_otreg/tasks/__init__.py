"""ESPnet2 tasks of this package."""
