"""Search for the parameters of a training: many trainings, the worse of which are stopped early."""
