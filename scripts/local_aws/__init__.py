"""An AWS on this machine, large enough to run the whole pipeline: one process, one endpoint, no account.

`scripts.local_aws.server.LocalAws` is the way in. What it does not know it refuses, loudly.
"""

from scripts.local_aws.moto_fixes import loading

loading.install()
