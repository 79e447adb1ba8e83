"""SQL Server through each driver that can be had."""

from __future__ import annotations

import pytest


@pytest.fixture
def open_mssql(mssql_url, configured):
    """Sources for each driver, closed afterwards: `open_mssql(pool=1)`."""
    return lambda url=None, **fields: configured(url or mssql_url(), **fields)
