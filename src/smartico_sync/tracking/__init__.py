"""One view at work: its loop, and what the loop does with source, state and delivery."""
