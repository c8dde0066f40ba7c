"""Under which key of the state table a wait keeps its token, so that an event of RDS finds it by the name that it has.

An event names a cluster or an instance, and nothing else that a wait could be found by. A cluster that is to replace
another one is restored under a temporary name, and its instances are named after the name that it gets; long names are
shortened in those of instances (utils/names.py). So the key has what all these names have in common. Two waits with one
key take it from each other, and an event may end another cluster's wait: either costs a pause or a look.
"""

from __future__ import annotations

import datetime as dt
import re

from utils.state.values import epoch

# A token is of no use once its wait has ended, and TTL removes its item. A wait that lasts longer is not found.
KEPT = dt.timedelta(days=60)
# No name that `name_for` makes of another has less of it: the longest tail, "-new-<fingerprint>", leaves 46 characters.
COMMON = 40
_INSTANCE = re.compile(r"(?P<base>.+)-[0-9a-f]{12}-\d+")
_TEMPORARY = re.compile(r"(?P<base>.+)-new-[0-9a-f]{12}")


def wait_key(region: str, name: str, *, is_instance: bool = False) -> str:
    """Return the key for a cluster's or an instance's name. No operation's id has a # in it.

    An instance that is none of the pipeline's stands for itself: nobody waits for a cluster of that name.
    """
    found = (_INSTANCE if is_instance else _TEMPORARY).fullmatch(name)
    base = found["base"] if found else name
    return f"waiting#{region}#{base[:COMMON].rstrip('-')}"


def wait_fields(region: str, cluster_identifier: str, now: dt.datetime) -> dict[str, str]:
    """Return what a progress says of the wait after it: the item's key, and until when DynamoDB's TTL keeps it."""
    return {"wait_key": wait_key(region, cluster_identifier), "wait_expires_at": str(epoch(now + KEPT))}
