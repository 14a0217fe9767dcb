"""Other programs as algorithms of ronchi, each in its own environment."""
