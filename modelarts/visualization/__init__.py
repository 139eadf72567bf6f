"""Visualization jobs: TensorBoard over training logs."""
