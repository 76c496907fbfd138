"""What is asked of the collector is asked twice: with requests as aiohttp's parser reads them, and as the plain reader does."""

import pytest
from collect_desk import Desk


@pytest.fixture(params=[False, True], ids=["parsed", "plain"])
def both_readers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Desk, "plain", request.param)
