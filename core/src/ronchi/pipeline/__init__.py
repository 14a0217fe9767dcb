"""From a YAML file to results: check everything, then run what is not known yet."""
