"""However the command ends, it says why in a sentence, its exit status says so too, and nothing of it stays."""

from __future__ import annotations

import pathlib
import re
import signal
import subprocess
import time

import pytest

from tests.integration.commands.support import (
    PROJECT,
    RUN_LOCAL,
    assert_nothing_is_left,
    running,
    until_it_listens,
    until_it_prints,
    until_ready,
)
from tests.integration.tiers import one_and_the_rest


@pytest.mark.parametrize("after_seconds", one_and_the_rest([0.0, 0.3, 1.0, 2.5]))
def test_ctrl_c_while_it_starts_ends_it_with_a_word(after_seconds: float, tmp_path: pathlib.Path) -> None:
    with running(tmp_path, "--json") as process:
        until_it_listens(process)
        time.sleep(after_seconds)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (130, "")
    assert "Traceback" not in errors
    assert errors.endswith("Stopped.\n")
    assert_nothing_is_left(tmp_path)


@pytest.mark.parametrize(
    ("moment", "how", "status"),
    one_and_the_rest(
        [
            ("Starting the embedded AWS", signal.SIGINT, 130),
            ("Starting the embedded AWS", signal.SIGTERM, 143),
            ("Restore Snapshot", signal.SIGINT, 130),
            ("Restore Snapshot", signal.SIGHUP, 130),
            ("Setup DB Users", signal.SIGTERM, 143),
        ]
    ),
)
def test_an_interruption_in_the_middle_ends_it_with_a_word(
    moment: str, how: signal.Signals, status: int, tmp_path: pathlib.Path
) -> None:
    with running(tmp_path, "--verbose") as process:
        until_it_prints(process, moment)
        process.send_signal(how)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == status
    assert errors.splitlines() == ["Stopped."]
    assert_nothing_is_left(tmp_path)


@pytest.mark.full
def test_a_second_interruption_ends_it_at_once_and_leaves_nothing(tmp_path: pathlib.Path) -> None:
    with running(tmp_path, "--serve") as process:
        until_ready(process)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=5)
    assert process.returncode in (143, -signal.SIGTERM)
    assert_nothing_is_left(tmp_path)


def test_a_command_that_is_killed_leaves_nothing(tmp_path: pathlib.Path) -> None:
    with running(tmp_path, "--verbose") as process:
        until_it_prints(process, "Check Restore Status")
        process.kill()
        process.communicate(timeout=30)
    assert_nothing_is_left(tmp_path)


@pytest.mark.full
def test_whoever_reads_the_output_may_go(tmp_path: pathlib.Path) -> None:
    with running(tmp_path) as process:
        until_it_prints(process, "Starting the embedded AWS")
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read()
        process.wait(30)
    assert process.returncode == 141
    assert errors == "Stopped: nobody reads the output.\n"
    assert_nothing_is_left(tmp_path)


@pytest.mark.parametrize("options", one_and_the_rest([["--serve"], ["--json", "--input", '{"dry_run": true}']]))
def test_an_output_that_cant_be_written_is_named(options: list[str], tmp_path: pathlib.Path) -> None:
    with pathlib.Path("/dev/full").open("w") as full, running(tmp_path, *options, stdout=full.fileno()) as process:
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert errors.splitlines()[-1].startswith("Stopped: the output cannot be written (No space left on device).")
    assert "Traceback" not in errors
    assert_nothing_is_left(tmp_path)


def on_a_disk_of(size: str, directory: pathlib.Path, beside: str = "true") -> subprocess.CompletedProcess[str]:
    """The command with a disk of its own for temporary files; `beside` runs at the same time, with the disk as $1."""
    script = (
        f'mount -t tmpfs -o size={size} tmpfs "$1" && chmod 711 "$1" && {{ {beside} & TMPDIR=$1 exec "$2" --json; }}'
    )
    mounting = ["unshare", "--user", "--map-root-user", "--mount", "bash", "-c"]
    if subprocess.run([*mounting, "mount -t tmpfs tmpfs /mnt"], check=False, capture_output=True).returncode:
        pytest.skip("This machine lets nobody mount a file system of their own.")
    return subprocess.run(
        [*mounting, script, "bash", str(directory), *RUN_LOCAL],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_disk_without_the_room_for_a_run_is_named_before_anything_starts(tmp_path: pathlib.Path) -> None:
    done = on_a_disk_of("50m", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(
        rf"It cannot start: {tmp_path} has \d+ MiB free, and a run takes up to \d+ MiB there. "
        r"Make room there, or name another directory: TMPDIR=/path/to/it ./scripts/run_local.sh\n",
        done.stderr,
    )


@pytest.mark.full
def test_a_disk_that_becomes_full_in_the_middle_is_named(tmp_path: pathlib.Path) -> None:
    somebody = 'until ls "$1"/*/aurora/cluster-* >/dev/null; do sleep 0.01; done 2>/dev/null; cat /dev/zero >"$1/full"'
    done = on_a_disk_of("450m", tmp_path, f"({somebody}) 2>/dev/null")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert f"It cannot start: {tmp_path} is full (0 MiB free). Make room there" in done.stderr.splitlines()[-1]


def test_a_temporary_directory_with_too_long_a_path_is_named(tmp_path: pathlib.Path) -> None:
    far = tmp_path / ("far" * 20)
    far.mkdir()
    with running(far) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert f"The path of the temporary directory {far} has {len(str(far))} characters" in errors
    assert list(far.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--serve", "--json"], "--serve restores nothing, so it cannot be used with --json."),
        (["--serve", "--keep", "--input", '{"dry_run": true}'], "so it cannot be used with --input, --keep."),
        (["--serve", "--route", "cross-region"], "so it cannot be used with --route."),
        (["--cross-region", "--route", "cross-region"], "not allowed with argument --cross-region"),
        (["--input", "[]"], "is no JSON object"),
        (["--route", "nowhere"], "'nowhere' is no route. There are same-place,"),
        (["--parameter", "InstanceCount"], "is not NAME=VALUE"),
        (["--masking-policy", "absent.yaml"], "/absent.yaml cannot be read: No such file or directory."),
        (["--verification-policy", str(PROJECT / "README.md")], "is no verification policy"),
    ],
)
def test_options_that_mean_nothing_are_refused_at_once(
    options: list[str], sentence: str, tmp_path: pathlib.Path
) -> None:
    began = time.monotonic()
    with running(tmp_path, *options) as process:
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (2, "")
    assert sentence in errors
    assert "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []
    assert time.monotonic() - began < 10
