"""What trainings in torch share: processes, threads, checkpoints."""
