"""Benchmarks and what they are compared with. Nothing is imported here: the torch peer needs the
extra `bench`.
"""
