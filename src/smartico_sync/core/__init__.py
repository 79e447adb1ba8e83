"""Rows to events to commits, pure: no I/O, no clock, no lock, no log; time and randomness are arguments."""
