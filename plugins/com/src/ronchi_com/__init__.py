"""Centre of mass and differential phase contrast, for ronchi."""
