"""A local stand-in for the ingest API, with faults on demand."""
