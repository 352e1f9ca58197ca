"""Measures decoder steps of TensorRT beside the CUDA backend and PyTorch."""
