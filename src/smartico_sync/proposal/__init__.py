"""A first configuration from what a database holds: which tables mean what, which views are missing, and the file about it."""
