"""Directory to profiles: derived keys, and what a change affects."""
