"""Compares kernels and steps with the limits of the machine, for docs/performance.md."""
