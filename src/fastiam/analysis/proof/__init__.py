"""Proofs: no request is newly allowed, or a request that shows the contrary."""
