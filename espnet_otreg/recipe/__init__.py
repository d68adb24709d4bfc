"""The driver of recipes: what is trained, which steps still hold, how they are started."""
