"""Runs the original implementation on tiny models; see README.md."""
