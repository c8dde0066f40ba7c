"""Chromium, which opens the pages as their readers do. Where there is none and none can be installed, tests skip."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# It neither draws by a graphics card nor asks its maker for anything. As root it runs without its sandbox only.
OPTIONS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
  --disable-component-update --disable-sync --hide-scrollbars --virtual-time-budget=10000""".split()
UPDATE, INSTALL = ["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", "chromium"]
UPDATE_SECONDS, INSTALL_SECONDS, RUN_SECONDS = 60, 240, 60

# Takes options and a page, and returns what Chromium printed.
Chromium = Callable[..., str]


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Chromium:
    program = _found() or _installed()
    if program is None:
        pytest.skip("there is no Chromium: install it (Debian: apt-get install --no-install-recommends chromium)")

    def run(*options: str, page: Path) -> str:
        profile = tmp_path_factory.mktemp("profile")
        command = [program, *OPTIONS, f"--user-data-dir={profile}", *options, page.as_uri()]
        ended = subprocess.run(command, check=True, capture_output=True, text=True, timeout=RUN_SECONDS)
        shutil.rmtree(profile, ignore_errors=True)
        return ended.stdout

    return run


def _found() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


def _installed() -> str | None:
    """Install Debian's package where that needs nobody's password, as on a machine of CI."""
    if os.geteuid() or shutil.which("apt-get") is None:
        return None
    quietly = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        # Without its lists up to date, an installation may still work.
        subprocess.run(UPDATE, env=quietly, check=False, capture_output=True, timeout=UPDATE_SECONDS)
        subprocess.run(INSTALL, env=quietly, check=True, capture_output=True, timeout=INSTALL_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return None
    return _found()
