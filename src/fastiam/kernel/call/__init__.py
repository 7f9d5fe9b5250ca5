"""Single calls: from Python objects to a decision."""
