"""The container, without an engine: the Dockerfile's own steps in a root of their own, then its entry point there as its own user – read-only, without capabilities, without a shell.

Law: steps, user, entry point and health check are read from the Dockerfile, not repeated here. What a machine without an engine cannot have is the base image: this machine's
Python and libraries stand in for it, so ``apt-get`` lines are left out and the version of Python is this one's.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(900)

ROOT = Path(__file__).parents[2]
BASE_LINKS = ("/bin", "/sbin", "/lib", "/lib64")
SHELLS = ("sh", "bash", "dash")
PIXEL = "C4ABCDEF1234567890AB"
CONFIG = """\
version: 1
edge: {listen: "127.0.0.1:%d"}
ops: {listen: "127.0.0.1:9090"}
drain: {delay: 0s, grace: 5s}
delivery: {endpoint: "http://127.0.0.1:%d/open_api/v1.3/event/track/", linger: 20ms}
pipelines: [{id: shop, key: dk_live_shop, integrations: [tiktok]}]
integrations: [{id: tiktok, pixel_code: C4ABCDEF1234567890AB, access_token: good}]
"""


@dataclass
class Stage:
    """What one FROM begins."""

    steps: list[tuple[str, str]] = field(default_factory=list)

    def last(self, word: str) -> str:
        """The arguments of the last instruction of that name."""
        return [rest for name, rest in self.steps if name == word][-1]


def dockerfile() -> dict[str, Stage]:
    """Its stages by name; the last one's is empty."""
    text = re.sub(r"^#.*\n", "", (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    stages: dict[str, Stage] = {}
    stage = Stage()
    for line in text.replace("\\\n", " ").splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            stage = stages[rest.partition(" AS ")[2]] = Stage()
        elif word:
            stage.steps.append((word, rest.strip()))
    return stages


def base() -> list[str]:
    """bwrap's arguments for what stands in for the base image."""
    arguments = ["--proc", "/proc", "--dev", "/dev", "--ro-bind", "/usr", "/usr", "--ro-bind", "/etc", "/etc"]
    for link in map(Path, BASE_LINKS):
        if link.is_symlink():
            arguments += ["--symlink", str(link.readlink()), str(link)]
        elif link.exists():
            arguments += ["--ro-bind", str(link), str(link)]
    python = Path(sys.base_prefix)
    if not python.is_relative_to("/usr"):
        arguments += ["--ro-bind", str(python), str(python)]
    interpreter = os.path.realpath(Path(python, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}"))
    return [*arguments, "--symlink", interpreter, "/base/python", "--setenv", "PATH", "/base:/usr/bin:/bin"]


def offered() -> list[str]:
    """Where this machine's pip may be told to look for packages: folders outside of what :func:`base` shows."""
    found = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True).stdout
    values = " ".join([found, *(value for name, value in os.environ.items() if name.startswith("PIP_"))])
    folders = {Path("/", *Path(path).parts[1:3]) for path in re.findall(r"(?<![\w.])/[\w./-]+", values.replace("file://", ""))}
    return [argument for folder in sorted(folders) if folder.is_dir() and folder.parts[1] not in {"usr", "etc"} for argument in ("--ro-bind", str(folder), str(folder))]  # fmt: skip


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the build stage made, by its paths."""
    made = tmp_path_factory.mktemp("image")
    places = ("src", "tools", "wheel", "opt/ttgateway", "spool")
    for place in places:
        (made / place).mkdir(parents=True)
    binds = [argument for place in places for argument in ("--bind", str(made / place), f"/{place}")]
    home = Path.home()
    private = ["--tmpfs", "/tmp", *offered(), *binds, "--setenv", "HOME", str(home)]
    private += [argument for name in (".config/pip", ".pip") if (home / name).is_dir() for argument in ("--ro-bind", str(home / name), str(home / name))]  # fmt: skip
    for word, rest in dockerfile()["build"].steps:
        if word == "COPY":
            *sources, target = rest.split()
            for source in sources:
                where = made / "src" / target
                if (ROOT / source).is_dir():
                    shutil.copytree(ROOT / source, where, ignore=shutil.ignore_patterns("__pycache__", "node_modules", "*.so"))
                else:
                    shutil.copy(ROOT / source, where)
        elif word == "RUN" and not rest.startswith("apt-get "):
            # chown to a user that this namespace does not have is the engine's; the mount below is that user's own
            command = rest.partition(" && chown ")[0]
            done = subprocess.run(
                ["bwrap", *base(), *private, "--chdir", "/src", "/bin/sh", "-euc", command],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return made


def free_port() -> int:
    """A port of loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Container:
    """How to run something in it."""

    prefix: list[str]
    edge: int
    sandbox: int

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Beside the entry point, as ``exec`` does."""
        return subprocess.run([*self.prefix, *command], capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def container(image: Path, tmp_path: Path) -> Iterator[Container]:
    """The final stage's root; the sandbox runs in one of its own."""
    final = dockerfile()[""]
    user, group = final.last("USER").split(":")
    path = re.search(r"PATH=(\S+?):\$PATH", final.last("ENV"))
    assert path is not None
    edge, sandbox = free_port(), free_port()
    for folder in ("config", "state"):
        (tmp_path / folder).mkdir()
    (tmp_path / "config" / "gateway.yaml").write_text(CONFIG % (edge, sandbox), encoding="utf-8")
    prefix = ["bwrap", *base(), "--ro-bind", str(image / "opt/ttgateway"), "/opt/ttgateway"]
    # an /etc of its own, for the mount in it; of the base's the certificates remain
    prefix += ["--tmpfs", "/etc", "--ro-bind", "/etc/ssl", "/etc/ssl", "--ro-bind", str(tmp_path / "config"), "/etc/ttgateway"]
    prefix += ["--bind", str(tmp_path / "state"), "/var/lib/ttgateway"]
    for shell in SHELLS:
        if (where := Path("/usr/bin", shell)).exists() and not where.is_symlink():
            prefix += ["--ro-bind", "/dev/null", str(where)]
    prefix += [
        "--unshare-user",
        "--unshare-pid",
        "--unshare-ipc",
        "--uid",
        user,
        "--gid",
        group,
        "--cap-drop",
        "ALL",
        "--die-with-parent",
    ]
    prefix += [
        "--clearenv",
        "--setenv",
        "PATH",
        f"{path[1]}:/base",
        "--setenv",
        "PYTHONDONTWRITEBYTECODE",
        "1",
        "--remount-ro",
        "/",
        "--",
    ]
    tiktok = subprocess.Popen([*prefix, "ttgateway", "sandbox", "--listen", f"127.0.0.1:{sandbox}"], stdout=subprocess.DEVNULL)
    try:
        yield Container(prefix, edge, sandbox)
    finally:
        tiktok.terminate()
        tiktok.wait(20)


def answer(url: str, body: bytes | None = None) -> bytes:
    """Of loopback."""
    request = urllib.request.Request(url, data=body, headers={"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Chrome/142.0.0.0"})
    with urllib.request.urlopen(request, timeout=5) as found:
        return bytes(found.read())


def until(url: str, wanted: bytes, patience_s: float = 20.0) -> bytes:
    """The answer of ``url`` once it holds ``wanted``."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            if wanted in (found := answer(url)):
                return found
        except OSError:
            found = b"(no answer)"
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def test_it_starts_serves_delivers_and_drains(container: Container) -> None:
    final = dockerfile()[""]
    entry = [*json.loads(final.last("ENTRYPOINT")), *json.loads(final.last("CMD"))]
    health = json.loads(final.last("HEALTHCHECK").partition(" CMD ")[2])
    assert container.run(*health).returncode != 0, "not started yet"
    process = subprocess.Popen([*container.prefix, *entry], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        until("http://127.0.0.1:9090/readyz", b"")
        assert container.run(*health).returncode == 0
        event = {
            "type": "track",
            "event": "Order Completed",
            "messageId": "from-the-container",
            "context": {"consent": {"marketing": True}},
        }
        assert json.loads(answer(f"http://127.0.0.1:{container.edge}/gw/e", json.dumps(event).encode()))["accepted"] == 1
        until(f"http://127.0.0.1:{container.sandbox}/sandbox/events", b"from-the-container")
        drained = container.run("ttgateway", "drain", "-c", "/etc/ttgateway/gateway.yaml")
        assert drained.returncode == 0, drained.stderr
        # bwrap passes no signal on: the entry point is its only grandchild
        (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        (grandchild,) = Path(f"/proc/{child}/task/{child}/children").read_text().split()
        os.kill(int(grandchild), signal.SIGTERM)
        said, _ = process.communicate(timeout=30)
        assert process.returncode == 0, said[-2000:]
        assert b'"message":"ended"' in said
        assert b'"level":"error"' not in said, said
    finally:
        process.kill()
        process.wait()


def test_nobody_can_write_or_gain_anything_there(container: Container) -> None:
    script = (
        "import os, subprocess\n"
        "tried = {}\n"
        "for place in ('/opt/ttgateway/x', '/etc/ttgateway/x', '/usr/x', '/x', '/var/lib/ttgateway/x'):\n"
        "    try: open(place, 'w').close(); tried[place] = 'written'\n"
        "    except OSError as error: tried[place] = error.strerror\n"
        "try: subprocess.run(['/bin/sh', '-c', 'true']); tried['sh'] = 'run'\n"
        "except OSError as error: tried['sh'] = error.strerror\n"
        "status = dict(line.split(':', 1) for line in open('/proc/self/status'))\n"
        "import json; print(json.dumps([tried, status['CapEff'].strip(), status['CapBnd'].strip(), os.getuid(), os.getgid()]))\n"
    )
    done = container.run("python", "-c", script)
    assert done.returncode == 0, done.stderr
    tried, effective, bounding, uid, gid = json.loads(done.stdout)
    assert tried.pop("/var/lib/ttgateway/x") == "written"
    assert "written" not in tried.values(), tried
    assert tried["sh"] != "run", tried
    assert (int(effective, 16), int(bounding, 16), uid, gid) == (0, 0, 65532, 65532)


def test_what_is_installed_is_compiled_and_listed(image: Path, container: Container, capsys: pytest.CaptureFixture[str]) -> None:
    done = container.run("python", "-c", "import gateway.event.fields as m; print(m.__file__)")
    assert done.stdout.strip().endswith(".so"), done.stderr
    listed = {each["name"].lower() for each in json.loads((image / "wheel" / "ttgateway.cdx.json").read_text())["components"]}
    names = re.findall(r"^([a-z0-9_.-]+)==", (ROOT / "requirements-jetstream.lock").read_text(encoding="utf-8"), re.MULTILINE)
    here = {path.name.partition("-")[0].lower().replace("_", "-") for path in (image / "opt/ttgateway").glob("lib/python*/site-packages/*.dist-info")}  # fmt: skip
    assert here <= {name.replace("_", "-") for name in listed}, here - listed
    assert {"ttgateway", "aiohttp", "orjson", "apsw", "nats-py", "nkeys"} <= here <= {*names, "ttgateway"}
    size = sum(path.stat().st_size for path in (image / "opt/ttgateway").rglob("*") if path.is_file() and not path.is_symlink())
    with capsys.disabled():
        sys.stdout.write(f"\nthe image adds {size / 2**20:.0f} MiB to its base (Python {sys.version.split()[0]})\n")
    assert size < 150 << 20
