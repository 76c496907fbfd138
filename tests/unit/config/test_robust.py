"""Whatever is in a configuration file: no exception, and what is called sound can be compiled."""

from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.app import compile_sound
from gateway.config.load import load

WHOLE = {
    "version": 1,
    "edge": {"listen": "127.0.0.1:8080", "upstream": "http://127.0.0.1:3000", "client_ip": {"trusted_hops": 1}, "limits": {"idle_timeout": "75s"}},
    "ops": {"listen": "127.0.0.1:9090"},
    "admin": {"listen": "127.0.0.1:8081", "tokens": [{"name": "ops", "role": "editor", "token": "x"}]},
    "spool": {"path": "/tmp/x", "max_bytes": "1GiB"},
    "consent": {"default": "deny", "cookies": ["onetrust"], "onetrust_groups": {"C1": ["marketing"]}, "cookie": {"name": "c", "values": {"a": ["b"]}}},
    "delivery": {"endpoint": "https://tiktok.example/", "max_age": "28d"},
    "pipelines": [{"id": "p", "key": "k", "integrations": ["i"], "domains": ["shop.example"], "labels": {"a": "b"}}],
    "integrations": [
        {
            "id": "i",
            "pixel_code": "C1",
            "access_token": "t",
            "send": {"ip": False},
            "events": {"Order Completed": {"mappings": [{"source": "properties.a[].b", "target": "properties.c", "value_map": {"x": 1}}]}},
            "global": {"mappings": [{"source": "traits.mail", "target": "user.email"}]},
        }
    ],
}  # fmt: skip

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 10**12),
    st.floats(allow_nan=True),
    st.sampled_from(
        ["", "x", "${env:NO}", "${file:/no}", "${", "$${x}", "é\u2028", "12:30", "a" * 300, "1GiB", "[", "i", "../..", "::"]
    ),
    st.text(max_size=12),
    st.lists(st.sampled_from(["marketing", "i", "", 3, None, {"id": "z"}]), max_size=3),
    st.dictionaries(
        st.sampled_from(["id", "key", "mappings", "listen", "", "a.b", "0"]), st.sampled_from(["x", 1, None, []]), max_size=3
    ),
)


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    found = [at]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += paths(item, (*at, key))
    return found


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy of ``value`` with ``new`` at ``path``."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(value[path[0]], path[1:], new)
    return copy


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(paths(WHOLE)[1:]), new=VALUES, extra=st.booleans())
def test_a_changed_file_is_judged_and_never_raises(tmp_path: Path, path: tuple[Any, ...], new: Any, extra: bool) -> None:
    document = changed(WHOLE, (*path[:-1], path[-1]), new)
    if extra:
        document["unknown"] = new
    file = tmp_path / "gateway.yaml"
    file.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    loaded = load(file, {})
    assert all(problem.line > 0 and problem.message for problem in loaded.problems)
    assert bool(loaded.problems) or not loaded.off
    if not loaded.fatal:
        compile_sound(loaded, b"key")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.one_of(st.binary(max_size=200), st.text(alphabet="ab:-[]{}&*!|>'\"#%@`\n\t ,?1<=~", max_size=80).map(str.encode))
)
def test_any_bytes_are_judged_and_never_raise(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_bytes(content)
    loaded = load(file, {})
    assert loaded.problems
    assert all(str(problem) for problem in loaded.problems)
