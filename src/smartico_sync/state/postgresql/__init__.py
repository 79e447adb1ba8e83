"""The state in PostgreSQL, for two machines and more: the same tables, under a lease that one member holds at a time."""
