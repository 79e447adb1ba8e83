"""Rows that commit late: which mechanism finds them, and how each works."""
