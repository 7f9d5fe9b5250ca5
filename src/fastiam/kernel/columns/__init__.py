"""Columns of requests: reading and writing over the Arrow C interface."""
