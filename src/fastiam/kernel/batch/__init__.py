"""Batches: threads, blocks and the rows that need the GIL."""
