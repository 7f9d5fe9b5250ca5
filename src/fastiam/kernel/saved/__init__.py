"""Engine files: layout and verification of mapped tables."""
