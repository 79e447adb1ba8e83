"""What engines share, whether they speak SQL or not."""
