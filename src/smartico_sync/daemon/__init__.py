"""The process: its parts wired together, the schedule, and what operators may change."""
