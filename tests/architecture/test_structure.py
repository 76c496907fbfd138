"""The structure is tested: file sizes, module laws, the places where the world may be touched."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted((ROOT / "gateway").rglob("*.py"))
MAX_LINES = 500


def test_import_contracts_hold() -> None:
    """Layers, purity, the sandbox's independence (pyproject.toml, tool.importlinter)."""
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_states_its_law_and_stays_readable(module: Path) -> None:
    """Every module says what it is for, and none passes 500 lines."""
    source = module.read_text()
    assert ast.get_docstring(ast.parse(source)), "no module docstring"
    assert len(source.splitlines()) <= MAX_LINES, "split it"


def test_environment_is_read_in_one_file() -> None:
    """Only gateway/config/environment.py knows the environment."""
    readers = {str(m.relative_to(ROOT)) for m in MODULES if re.search(r"os\.(environ|getenv)", m.read_text())}
    assert readers <= {"gateway/config/environment.py"}


def test_tasks_are_made_in_one_file() -> None:
    """Raw create_task only behind the helper that names, keeps and supervises."""
    makers = {str(m.relative_to(ROOT)) for m in MODULES if re.search(r"(?<!def )\b(create_task|ensure_future)\(", m.read_text())}
    assert makers <= {"gateway/telemetry/tasks.py"}


def test_no_registry_or_foreign_addresses_in_lock_files() -> None:
    """Lock files are requirements with hashes and nothing else."""
    for lock in ROOT.glob("requirements*.lock"):
        assert not re.search(r"(https?|file)://|index-url|find-links", lock.read_text()), lock.name
