"""The compiled engine: resolution of misses, `Decisions`, engine files."""
