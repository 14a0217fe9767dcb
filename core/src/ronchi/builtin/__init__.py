"""Algorithms that come with ronchi and register through its own entry points."""
