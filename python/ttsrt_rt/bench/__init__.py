"""Benchmarks of engines: what `ttsrt bench` runs."""
