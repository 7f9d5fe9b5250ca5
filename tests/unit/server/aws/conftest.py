"""Fixtures of the tests with real AWS clients."""

from aws_world import signing_clock, world

__all__ = ["signing_clock", "world"]
