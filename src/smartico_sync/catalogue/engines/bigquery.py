"""BigQuery, as data."""

from smartico_sync.catalogue.engines.declaration import Engine, Parameter

__all__ = ["BIGQUERY"]

# fmt: off
BIGQUERY = Engine(
    "bigquery", "BigQuery", "smartico_sync.sources.bigquery", "bigquery",
    number="CAST({0} AS INT64) AS {0}",
    parameters=(
        Parameter("credentials_file", "the JSON key of a service account; read anew for each connection", others=("credentials_path",)),
        Parameter("location", "where jobs run (`EU`, `europe-west1` …); BigQuery finds it by itself when the dataset is named"),
        # A dollar is about 160 of these. A query that would read more fails and costs nothing; see the manual before raising it.
        Parameter("maximum_bytes_billed", "the most one query may be billed for, or `off`", "1GB"),
        Parameter("storage_api", "`auto`: pages of more than a thousand rows come through the Storage API where it is allowed. `never`: always as JSON", "auto"),
        Parameter("quota_project", "the project whose quota is used, when it is another one"),
        Parameter("host", "an endpoint of your own (Private Service Connect)"),
        Parameter("port", "its port", "443"),
        Parameter("storage_port", "the port of its Storage API", "443"),
        Parameter("protocol", "`http`, an emulator's: no credentials are sent", "https"),
    ),
)
# fmt: on
