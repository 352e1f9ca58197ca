"""F5-TTS beside the original in PyTorch, in one interleaved run."""
