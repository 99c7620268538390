"""Settings that would send secrets astray: refused before anything starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hefu.settings import BadSettings, Settings
from tests.house import SECRET_KEY
from tests.security.serving import ROOT

UNSAFE = [
    ("HEFU_WECOM_URL", "http://qyapi.weixin.qq.com"),
    ("HEFU_WECOM_URL", "http://127.0.0.1.evil.example"),
    ("HEFU_WECOM_URL", "http://localhost@evil.example"),
    ("HEFU_WECOM_URL", "https://user:password@qyapi.weixin.qq.com"),
    ("HEFU_WECOM_URL", "https://@qyapi.weixin.qq.com"),
    ("HEFU_WECOM_URL", "https://qyapi.weixin.qq.com/?corpsecret=x"),
    ("HEFU_WECOM_URL", "https://qyapi.weixin.qq.com/?"),
    ("HEFU_WECOM_URL", "https://qyapi.weixin.qq.com/#x"),
    ("HEFU_WECOM_URL", "ftp://qyapi.weixin.qq.com"),
    ("HEFU_WECOM_URL", "file:///etc/passwd"),
    ("HEFU_WECOM_URL", "qyapi.weixin.qq.com"),
    ("HEFU_WECOM_URL", "https://"),
    ("HEFU_WECOM_URL", "https://[::1"),
    ("HEFU_WECOM_URL", "https://qyapi.weixin.qq.com:port"),
    ("HEFU_WECOM_URL", "https://qyapi.weixin.qq.com\\@evil.example"),
    ("HEFU_WECOM_URL", "https://qyapi weixin.example"),
    ("HEFU_WECOM_URL", "https://qyapi.weixin\t.example"),
    ("HEFU_WECOM_URL", "https://qyapi.weixin.qq.com:"),
    ("HEFU_WECOM_TIMEOUT", "0"),
    ("HEFU_WECOM_TIMEOUT", "9"),
    ("HEFU_WECOM_TIMEOUT", "nan"),
    ("HEFU_PUBLIC_URL", "http://hefu.example"),
    ("HEFU_ALLOWED_ORIGINS", "*"),
    ("HEFU_ALLOWED_ORIGINS", "https://admin.example/"),
    ("HEFU_ALLOWED_ORIGINS", "null"),
    ("HEFU_ALLOWED_ORIGINS", "https://*.example.com"),
    ("HEFU_DATABASE_URL", "postgres://hefu@db/hefu?pgbouncer=2"),
    ("HEFU_METRICS_LISTEN", "http://127.0.0.1:9464"),
    ("HEFU_PUBLIC_URL", "https://id example.com"),
    ("HEFU_TRUSTED_PROXIES", "proxy.example"),
    ("HEFU_SECRET_KEYS", "c2hvcnQ="),
    ("HEFU_SECRET_KEYS", "no base64"),
    ("HEFU_RATE_LIMIT_ADDRESS", "0/min"),
    ("HEFU_RATE_LIMIT_SOURCE", "many"),
    ("HEFU_LOG_LEVEL", "loud"),
    ("HEFU_REPLICA_URL", "sqlite://replica.db"),
    ("HEFU_REPLICA_URL", "replica.example"),
    ("HEFU_REPLICA_URL", "postgres://h@replica.example/hefu?poool=3"),
    # Of a SQLite file there are none.
    ("HEFU_REPLICA_URL", "postgres://h@replica.example/hefu"),
]


def environ(**changed: str) -> dict[str, str]:
    return {"HEFU_SECRET_KEYS": SECRET_KEY, **changed}


@pytest.mark.parametrize(("name", "value"), UNSAFE)
def test_an_unsafe_setting_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(BadSettings) as refused:
        Settings.from_environ(environ(**{name: value}))
    [problem] = refused.value.problems
    assert problem.startswith(f"{name}: ")


@pytest.mark.parametrize(
    "url",
    [
        "https://qyapi.weixin.qq.com",
        "https://wecom.internal.example:8443/private",
        "http://127.0.0.1:8001",
        "http://127.1.2.3:8001",
        "http://localhost:8001",
        "http://[::1]:8001",
    ],
)
def test_a_safe_address_of_wecom_is_taken(url: str) -> None:
    assert Settings.from_environ(environ(HEFU_WECOM_URL=url)).wecom_url == url


def test_a_file_that_is_empty_is_no_setting(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("\n")
    with pytest.raises(BadSettings) as refused:
        Settings.from_environ(environ(HEFU_DATABASE_URL_FILE=str(file)))
    [problem] = refused.value.problems
    assert problem.startswith("HEFU_DATABASE_URL: ")
    assert problem.endswith("is empty")


def test_a_setting_that_is_empty_is_none(tmp_path: Path) -> None:
    """As an EnvironmentFile leaves it, beside the file that it comes from."""
    file = tmp_path / "url"
    file.write_text("sqlite:///from/a/file.db\n")
    given = environ(HEFU_DATABASE_URL="", HEFU_DATABASE_URL_FILE=str(file))
    assert Settings.from_environ(given).database_url == "sqlite:///from/a/file.db"


def test_serve_names_each_and_repeats_no_value() -> None:
    unsafe = {
        "HEFU_SECRET_KEYS": "hunter2",
        "HEFU_WECOM_URL": "http://hunter2.example",
        "HEFU_DATABASE_URL": "mysql://root:hunter2@db/hefu",
    }
    ran = subprocess.run(
        [sys.executable, "-m", "hefu", "serve"],
        capture_output=True,
        text=True,
        env={**os.environ, **unsafe},
        cwd=ROOT,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 2
    assert all(name in ran.stderr for name in unsafe)
    assert "hunter2" not in ran.stderr + ran.stdout
