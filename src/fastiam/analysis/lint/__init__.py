"""`lint`: findings about policy documents from AWS's data."""
