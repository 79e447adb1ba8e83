"""The ingest API: events in, receipts out, under its limits and in each player's order."""
