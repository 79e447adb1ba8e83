"""Servers of our own for databases that no package registry has: README.md says what each is worth."""
