"""Files that people write: YAML with positions, and faults told there; what a kind of file may say, others know."""
