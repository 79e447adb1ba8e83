"""The pages about databases name what the code takes."""

from __future__ import annotations

import pytest

from smartico_sync.catalogue.engines import ENGINES
from smartico_sync.config.engine_reference import with_parameters
from smartico_sync.config.reference import DATABASES


@pytest.mark.parametrize("scheme", ENGINES)
def test_every_parameter_is_on_the_page(scheme):
    """What the URL and `options:` may hold is described on the page of the database; mend with `make reference`."""
    text = (DATABASES / f"{scheme}.md").read_text("utf-8")
    names = [name for each in ENGINES[scheme].parameters for name in (each.name, *each.others)]
    assert [name for name in names if f"`{name}`" not in text] == []
    assert with_parameters(text, ENGINES[scheme]) == text


@pytest.mark.parametrize("page", ["no marks", "<!-- parameters -->\nno end"])
def test_a_page_without_its_marks_is_told(page):
    """A table cannot silently stop being written."""
    with pytest.raises(ValueError, match=r"has no <!-- /?parameters -->"):
        with_parameters(page, ENGINES["mysql"])
