"""The state: what was delivered, and how far."""
