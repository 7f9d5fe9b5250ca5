"""Access: who can, what can, unused access, suggested policies, replay of a log, and differences of two engines."""
