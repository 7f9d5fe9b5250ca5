"""Escalation: the paths by which principals become administrators, or another principal."""
