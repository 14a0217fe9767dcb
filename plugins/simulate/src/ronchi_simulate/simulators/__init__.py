"""The simulators, a module each: what `ronchi simulate NAME` runs."""
