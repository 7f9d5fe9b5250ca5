"""Growing arrays that running batches may read."""
