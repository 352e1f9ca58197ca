"""Compares instruction set levels of this processor: products, prefill, and requests at once."""
