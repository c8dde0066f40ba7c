"""Look for keys, tokens and passwords in every file of the repository that git knows or would take.

Runs in .venv-linters: python -m scripts.checks.run_secrets

Of detect-secrets' detectors those that know a secret by its form. What only looks random (hashes of packages) or only
stands beside the word password (half of this repository) is left to ruff's S105 to S107, which read Python. Before the
files a sample of each kind of secret is looked at: a scanner that finds nothing there, or no file, fails.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from detect_secrets.core.scan import get_plugins, scan_file  # type: ignore[import-not-found]  # lives in .venv-linters
from detect_secrets.settings import transient_settings  # type: ignore[import-not-found]  # lives in .venv-linters

DETECTORS = (
    "ArtifactoryDetector AWSKeyDetector AzureStorageKeyDetector BasicAuthDetector CloudantDetector "
    "DiscordBotTokenDetector GitHubTokenDetector IbmCloudIamDetector IbmCosHmacDetector JwtTokenDetector "
    "MailchimpDetector NpmDetector "
    "SendGridDetector SlackDetector SoftlayerDetector SquareOAuthDetector StripeDetector "
    "TwilioKeyDetector"
).split()

# detect-secrets does not look for private keys in files above 8 KB.
PRIVATE_KEY = re.compile(r"BEGIN [A-Z0-9 ]*PRIVATE KEY-+\s*[A-Za-z0-9+/]{10}")

# In pieces, so that they are not found in this very file.
SAMPLES = {
    "AWS Access Key": "key = 'AKIA" + "QYLPMN5HFIQR7XYZ'",
    "Private Key": "-----BEGIN RSA PRIVATE KEY-----" + "\nMIIEpAIBAAKCAQEA0Z3VS5JJcds3xf",
    "GitHub Token": "ghp_" + "wWPw5k4aXcaT4fNP0UcnZwJUVFk6LO0pINUx",
    "JSON Web Token": "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
    "Basic Auth Credentials": "postgresql://admin:" + "correcthorse@db.internal/postgres",
}


def files() -> list[Path]:
    """Return every file that git knows or would take."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True)
    return [path for name in listed.stdout.split("\0") if name and (path := Path(name)).is_file()]


def found_in(path: Path, patterns: list[re.Pattern[str]]) -> Iterator[tuple[int, str]]:
    """Yield line and kind of each secret. `patterns` are the detectors', of which at least one has to occur."""
    text = path.read_text(errors="replace")
    if any(each.search(text) for each in patterns):
        # It tries each detector on each line, which is slow.
        yield from ((each.line_number, each.type) for each in scan_file(str(path)))
    yield from ((text.count("\n", 0, found.start()) + 1, "Private Key") for found in PRIVATE_KEY.finditer(text))


def patterns_of_detectors() -> list[re.Pattern[str]]:
    """Return every pattern of the detectors, as it is tried on a whole file."""
    patterns = [pattern for detector in get_plugins() for pattern in detector.denylist]
    return [re.compile(each.pattern, each.flags | re.MULTILINE) for each in patterns]


def main() -> int:
    """Look for secrets, in the samples too, and return the exit status."""
    with transient_settings({"plugins_used": [{"name": name} for name in DETECTORS], "filters_used": []}):
        patterns = patterns_of_detectors()
        with tempfile.TemporaryDirectory() as directory:
            sample = Path(directory, "sample.txt")
            sample.write_text("\n".join(SAMPLES.values()))
            unseen = set(SAMPLES) - {kind for _, kind in found_in(sample, patterns)}
        scanned = files()
        found = [(path, *each) for path in scanned for each in found_in(path, patterns)]
    print(f"{len(scanned)} files, {len(DETECTORS) + 1} detectors, {len(found)} found")
    for path, line, kind in found:
        print(f"{path}:{line}: {kind}. Take it out and revoke it: everybody with the repository has it.")
    if unseen or not scanned:
        print(f"The scanner is blind: of the samples it missed {sorted(unseen)}, and it saw {len(scanned)} files.")
    return 1 if found or unseen or not scanned else 0


if __name__ == "__main__":
    sys.exit(main())
