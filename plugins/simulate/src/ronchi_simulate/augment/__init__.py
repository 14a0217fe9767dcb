"""What an instrument adds to an ideal pattern: distortion, background, detector, dose; for training and benchmarks."""
