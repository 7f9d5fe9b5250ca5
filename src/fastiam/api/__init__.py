"""The public classes `Engine` and `Directory`: they check and delegate."""
