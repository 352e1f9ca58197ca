"""Generators of hostile input: files, pickles, requests and killed processes."""
