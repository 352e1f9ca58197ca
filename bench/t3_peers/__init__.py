"""A decoder of T3's shape beside transformers and llama.cpp, in one interleaved run."""
