"""What a recipe remembers: which steps are done, from which settings, inputs and predecessors."""
