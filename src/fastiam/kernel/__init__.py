"""Compiled kernels: numbers, bytes and arrays. No module of this package knows a policy document."""
