"""Fixtures of the management listener's tests."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from managing import EDITOR, TOKEN, VIEWER, Client, Clock, Management

from gateway.admin.access import Access
from gateway.admin.listener import create_app
from gateway.admin.settings import AdminSettings
from gateway.app.management import make_desk
from gateway.catalog.model import IntegrationSettings, PipelineSettings
from gateway.catalog.runtime import Live, compile_catalogue
from gateway.spool.settings import SpoolSettings
from gateway.spool.sqlite import SqliteSpool
from gateway.telemetry.metrics import Metrics


@pytest.fixture
async def management(tmp_path: Path, aiohttp_client: Callable[..., Awaitable[Client]]) -> AsyncIterator[Management]:
    spool = await SqliteSpool.open(SpoolSettings(path=str(tmp_path / "spool")))
    settings = AdminSettings.model_validate(
        {"tokens": [{"name": "ops", "role": "editor", "token": EDITOR}, {"name": "eve", "role": "viewer", "token": VIEWER}]}
    )
    integration = IntegrationSettings(id="tiktok", pixel_code="C1", access_token=TOKEN)
    live = Live(compile_catalogue([PipelineSettings(id="shop", key="k", integrations=["tiktok"])], [integration], b"k" * 32))
    desk = make_desk(settings, lambda: spool, live, Metrics())
    clock = Clock()
    desk.access, desk.now = Access(settings.tokens, settings.allowed_hosts, clock, secrets.token_bytes), clock
    yield Management(await aiohttp_client(create_app(desk)), desk, spool, clock)
    await spool.close()
