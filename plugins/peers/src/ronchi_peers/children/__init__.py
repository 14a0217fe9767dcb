"""Scripts that run in the environments of the programs: numpy and the program are all that they need."""
