"""Profiles to tables (see `compiler`)."""
