"""Who may connect to the broker, and how it proves itself: passwords, TLS, a .creds file, against real servers."""

import asyncio
import base64
import hashlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import nkeys
import pytest
from brokering import Broker, be_patient
from ports import free_port

from gateway.errors import SpoolUnavailable
from gateway.spool.base import NewRecord
from gateway.spool.jetstream.spool import JetStreamSpool
from gateway.spool.settings import SpoolSettings

MIB = 1 << 20


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Broker]]:
    be_patient(monkeypatch)
    started: list[Broker] = []

    def start(more: str) -> Broker:
        broker = Broker(tmp_path / f"broker{len(started)}", more)
        broker.start()
        started.append(broker)
        return broker

    yield start
    for broker in started:
        broker.stop()


async def works(settings: SpoolSettings) -> bool:
    """Whether a record goes to the broker, and not to this disk."""
    spool = await JetStreamSpool.open(settings)
    try:
        if not spool._wire.connected:
            return False
        await spool.put([NewRecord("a", "", time.time(), b"1")])
        return [record.payload for record in await spool.lease("a", 1, MIB, 10)] == [b"1"]
    finally:
        await spool.close()


def section(url: str, path: Path, **more: object) -> SpoolSettings:
    return SpoolSettings.model_validate(
        {"kind": "jetstream", "url": url, "path": str(path), "max_bytes": "8MiB", "publish_timeout": "10s", **more}
    )


async def test_user_and_password(serve: Callable[[str], Broker], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    broker = serve("authorization {user: edge, password: p-a-ss}")
    assert await works(section(f"nats://edge:p-a-ss@127.0.0.1:{broker.port}", tmp_path / "a"))
    for number, who in enumerate(("", "edge:wrong@")):
        assert not await works(section(f"nats://{who}127.0.0.1:{broker.port}", tmp_path / f"b{number}"))
    assert "wrong" not in caplog.text


async def test_a_user_who_may_not_hear_its_answers_is_told_of(
    serve: Callable[[str], Broker], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It looks like a broker that is away otherwise."""
    users = '{user: edge, password: e, permissions: {publish: ">", subscribe: "_INBOX_ttgw_deliver.>"}}'
    broker = serve(f"authorization {{ users = [ {users} ] }}")
    found = section(f"nats://edge:e@127.0.0.1:{broker.port}", tmp_path / "a")
    spool = await JetStreamSpool.open(found, role="edge")
    async with asyncio.timeout(30):
        while 'subscription to "_inbox_ttgw_edge.' not in caplog.text:  # noqa: ASYNC110 - the log announces nothing
            await asyncio.sleep(0.02)
    assert {record.levelname for record in caplog.records if "permissions" in record.message} == {"ERROR"}
    await spool.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, a server's certificate of it, and another authority."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    authority = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    for name in ("ca", "other"):
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}", *authority,
                "-keyout", f"{name}.key", "-out", f"{name}.pem")  # fmt: skip
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=nats", "-keyout", "server.key", "-out", "server.csr")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "names", "-out", "server.pem")  # fmt: skip
    return folder


def tls(certificates: Path) -> str:
    return f'tls {{cert_file: "{certificates}/server.pem", key_file: "{certificates}/server.key"}}'


async def test_tls_with_an_authority_of_ones_own(serve: Callable[[str], Broker], certificates: Path, tmp_path: Path) -> None:
    broker = serve(tls(certificates))
    url = f"tls://localhost:{broker.port}"
    assert await works(section(url, tmp_path / "a", tls_ca=str(certificates / "ca.pem")))
    assert not await works(section(url, tmp_path / "b", tls_ca=str(certificates / "other.pem")))
    assert not await works(section(url, tmp_path / "c"))  # an authority that the system does not know


async def test_a_server_without_tls_is_not_spoken_to_in_clear(
    serve: Callable[[str], Broker], certificates: Path, tmp_path: Path
) -> None:
    """Whoever asks for TLS must not hand its password to whoever answers."""
    broker = serve("authorization {user: edge, password: p-a-ss}")
    assert not await works(
        section(f"tls://edge:p-a-ss@127.0.0.1:{broker.port}", tmp_path / "a", tls_ca=str(certificates / "ca.pem"))
    )


async def test_the_connection_comes_back_with_tls(serve: Callable[[str], Broker], certificates: Path, tmp_path: Path) -> None:
    broker = serve(tls(certificates))
    spool = await JetStreamSpool.open(
        section(f"tls://localhost:{broker.port}", tmp_path / "a", tls_ca=str(certificates / "ca.pem"))
    )
    broker.kill()
    await spool.put([NewRecord("a", "", time.time(), b"kept here")])
    broker.start()
    async with asyncio.timeout(30):
        while not (records := await spool.lease("a", 1, MIB, 1)):
            pass
    assert [record.payload for record in records] == [b"kept here"]
    await spool.close()


async def test_a_creds_file(serve: Callable[[str], Broker], tmp_path: Path) -> None:
    """A server that trusts one operator; its user proves itself with the seed in the file."""
    more, creds = operator()
    broker = serve(more)
    (tmp_path / "edge.creds").write_text(creds)
    assert await works(section(broker.url, tmp_path / "a", credentials=str(tmp_path / "edge.creds")))
    assert not await works(section(broker.url, tmp_path / "b"))


async def test_files_that_are_not_there_are_said(tmp_path: Path) -> None:
    (tmp_path / "rubbish").write_text("no certificate")
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    wrong = (
        {"credentials": "/nowhere/edge.creds"},
        {"tls_ca": "/nowhere/ca.pem"},
        {"tls_ca": str(tmp_path / "rubbish")},
        {"credentials": str(tmp_path / "binary")},
        {"credentials": str(tmp_path / "rubbish")},
    )
    for number, more in enumerate(wrong):
        with pytest.raises(SpoolUnavailable, match=f"spool.{next(iter(more))} /"):
            await JetStreamSpool.open(section(f"nats://127.0.0.1:{free_port()}", tmp_path / str(number), **more))


def operator() -> tuple[str, str]:
    """A server's configuration and a user's credentials, signed by keys of our own: operator → account → user."""

    def pair(prefix: int) -> tuple[nkeys.KeyPair, str]:
        seed = nkeys.encode_seed(os.urandom(32), prefix)
        keys = nkeys.from_seed(bytearray(seed))
        return keys, keys.public_key.decode()

    def plain(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    def signed(keys: nkeys.KeyPair, issuer: str, subject: str, name: str, nats: dict[str, object]) -> str:
        claims: dict[str, object] = {"iat": int(time.time()), "iss": issuer, "name": name, "sub": subject, "nats": nats}
        claims["jti"] = base64.b32encode(hashlib.sha256(json.dumps(claims).encode()).digest()).rstrip(b"=").decode()
        text = f"{plain(json.dumps({'typ': 'JWT', 'alg': 'ed25519-nkey'}).encode())}.{plain(json.dumps(claims).encode())}"
        return f"{text}.{plain(keys.sign(text.encode()))}"

    owner, owner_id = pair(nkeys.PREFIX_BYTE_OPERATOR)
    account, account_id = pair(nkeys.PREFIX_BYTE_ACCOUNT)
    seed = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
    user_id = nkeys.from_seed(bytearray(seed)).public_key.decode()
    any_ = -1
    limits = {
        "subs": any_,
        "data": any_,
        "payload": any_,
        "imports": any_,
        "exports": any_,
        "conn": any_,
        "leaf": any_,
        "wildcards": True,
    }
    storage = {"mem_storage": any_, "disk_storage": any_, "streams": any_, "consumer": any_}
    operator_jwt = signed(owner, owner_id, owner_id, "operator", {"type": "operator", "version": 2})
    account_jwt = signed(owner, owner_id, account_id, "shop", {"type": "account", "version": 2, "limits": {**limits, **storage}})
    user_jwt = signed(
        account, account_id, user_id, "edge", {"type": "user", "version": 2, "subs": any_, "data": any_, "payload": any_}
    )
    creds = (
        f"-----BEGIN NATS USER JWT-----\n{user_jwt}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{seed.decode()}\n------END USER NKEY SEED------\n"
    )
    _, system_id = pair(nkeys.PREFIX_BYTE_ACCOUNT)
    system_jwt = signed(owner, owner_id, system_id, "system", {"type": "account", "version": 2, "limits": limits})
    known = f"{account_id}: {account_jwt}\n{system_id}: {system_jwt}"
    return f"operator: {operator_jwt}\nsystem_account: {system_id}\nresolver: MEMORY\nresolver_preload: {{\n{known}\n}}", creds
