"""What the person at the keyboard has set for other work doesn't reach the embedded AWS: each would stop a run."""

from __future__ import annotations

import json
import pathlib

import pytest

from tests.integration.commands.support import assert_nothing_is_left, running

NOBODY = "http://127.0.0.1:9"

SETTINGS = {
    "a proxy": {
        "HTTP_PROXY": NOBODY,
        "HTTPS_PROXY": NOBODY,
        "http_proxy": NOBODY,
        "https_proxy": NOBODY,
        "all_proxy": NOBODY,
    },
    "a profile": {"AWS_PROFILE": "no-such-profile", "AWS_DEFAULT_PROFILE": "no-such-profile"},
    "settings of the SDK": {
        "AWS_ENDPOINT_URL": NOBODY,
        "AWS_ENDPOINT_URL_RDS": NOBODY,
        "AWS_CA_BUNDLE": "/no/such/file",
        "AWS_MAX_ATTEMPTS": "none",
        "AWS_RETRY_MODE": "no-such-mode",
        "AWS_DEFAULT_REGION": "nowhere",
        "AWS_USE_FIPS_ENDPOINT": "true",
    },
    "settings of libpq": {
        "PGSERVICE": "no-such-service",
        "PGOPTIONS": "-c no.such.parameter=1 --no-such-option",
        "PGHOSTADDR": "192.0.2.1",
        "PGSSLMODE": "disable",
        "PGSSLCERT": "/no/such/file",
        "PGCLIENTENCODING": "no-such-encoding",
        "PGREQUIREAUTH": "none",
    },
    "certificates": {
        "SSL_CERT_FILE": "/no/such/file",
        "SSL_CERT_DIR": "/no/such/directory",
        "REQUESTS_CA_BUNDLE": "/no/such/file",
        "CURL_CA_BUNDLE": "/no/such/file",
    },
    "Python": {"PYTHONPATH": "{home}/modules", "PYTHONHOME": "/no/such/directory", "PYTHONWARNINGS": "error"},
    "a language and a clock": {"LC_ALL": "no_SUCH.language", "LANG": "tr_TR.ISO-8859-9", "TZ": "Pacific/Kiritimati"},
    "moto": {"MOTO_ACCOUNT_ID": "999999999999", "MOTO_CALL_RESET_API": "false"},
    "where cd looks": {"CDPATH": "/usr"},
}


@pytest.fixture
def home(tmp_path: pathlib.Path) -> pathlib.Path:
    """A home whose files nothing of ours could work with."""
    directory = tmp_path / "home"
    for name, text in {
        ".aws/config": "no configuration\n",
        ".aws/credentials": "[default]\nnonsense",
        ".pg_service.conf": "[no-such-service\n",
        ".postgresql/postgresql.crt": "no certificate",
        ".postgresql/postgresql.key": "no key",
        "modules/json.py": "raise RuntimeError('not the real one')",
    }.items():
        file = directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (directory / ".postgresql/postgresql.key").chmod(0o644)
    return directory


@pytest.mark.full
def test_nothing_that_is_set_for_other_work_stops_a_restore(home: pathlib.Path, tmp_path: pathlib.Path) -> None:
    scratch = tmp_path / "s"
    scratch.mkdir()
    everything = {name: value.format(home=home) for each in SETTINGS.values() for name, value in each.items()}
    with running(scratch, "--json", more={"HOME": str(home)} | everything) as process:
        output, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert all(json.loads(output)["checks"].values())
    assert_nothing_is_left(scratch)
