"""Benchmarks: one file with lists where a pipeline has one name, every combination a pipeline of its own."""
