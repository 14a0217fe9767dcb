"""A probe over a specimen: where it goes, what it is, and the patterns that are recorded."""
