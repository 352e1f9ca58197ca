"""Sound of speech tokens beside the original in PyTorch."""
