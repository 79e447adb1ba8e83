"""What engines that speak SQL share: statements, readings, and the source over a pool."""
