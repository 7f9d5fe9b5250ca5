"""Text, numbers and hashes: the primitives of the other kernels."""
