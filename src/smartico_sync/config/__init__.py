"""The configuration: `views.yaml` as models, loaded with errors that name line and column."""
