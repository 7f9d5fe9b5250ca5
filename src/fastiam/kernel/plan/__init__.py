"""Tables and plans: what one policy set decides for one action class, compiled for evaluation."""
