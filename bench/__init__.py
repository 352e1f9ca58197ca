"""Benchmarks for those who work on ttsrt_rt: limits of the machine, PyTorch and other programs.

They run from a checkout (`python -m bench.step_time --help`) with ttsrt_rt installed, and are not
part of the wheel. What users need is in `ttsrt bench`.
"""
