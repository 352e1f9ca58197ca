"""Measures decoder steps on a GPU beside PyTorch, for docs/gpu.md."""
