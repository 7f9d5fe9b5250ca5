"""Access keys, passwords, MFA devices and the keyring that seals their secrets."""
