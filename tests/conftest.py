"""No test reaches a real AWS account, whatever the person at the keyboard is logged in to, and none goes by a proxy."""

import gc
import os
import re

# What is loaded for thousands of tests stays: looking through all of it for rubbish as often as Python does by default
# took a tenth of the time of the unit tests.
gc.set_threshold(50_000, 20, 100)

_OF_THE_PERSON = re.compile(
    r"AWS_|PG|MOTO_|(?:.*_)?(?:NO_)?PROXY$|SSL_CERT_|REQUESTS_CA_BUNDLE$|CURL_CA_BUNDLE$", re.IGNORECASE
)

for variable in [name for name in os.environ if _OF_THE_PERSON.match(name)]:
    del os.environ[variable]
os.environ.update(
    AWS_ACCESS_KEY_ID="testing",
    AWS_SECRET_ACCESS_KEY="testing",
    AWS_CONFIG_FILE=os.devnull,
    AWS_SHARED_CREDENTIALS_FILE=os.devnull,
    AWS_EC2_METADATA_DISABLED="true",
)
