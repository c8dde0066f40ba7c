"""What a source cluster has and the new one does not get, a sentence each, so that every difference is reported.

It is collected from what RDS reports (`left_behind`), from what does not work where the new cluster is, and from what
differs from instance to instance where the new ones are all alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from utils.aurora_utils.source_attributes import listed, shortened
from utils.contracts.plan import ClusterPlan
from utils.contracts.settings import SETTINGS
from utils.planning.like_source import SourceSettings, UnreadableSource
from utils.plurals import counted
from utils.request.fields import RestoreRequest

# The plan travels from step to step, so that it stays short. Messages show fewer.
MAX_SENTENCES = 60
# The settings that all new instances share, as the writer has them. Their maintenance window is the cluster's.
_ALIKE = tuple(each for each in SETTINGS if each.of_instance and each.name != "preferred_maintenance_window")


def not_taken_over(
    request: RestoreRequest, plan: ClusterPlan, source: SourceSettings | UnreadableSource | None, source_id: str
) -> list[str]:
    """Return what a person should know who relies on the new cluster being like its source."""
    found = [shortened(each) for each in _sentences(request, plan, source, source_id)]
    if len(found) > MAX_SENTENCES:
        found[MAX_SENTENCES:] = [f"and {len(found) - MAX_SENTENCES} more"]
    return found


def _sentences(
    request: RestoreRequest, plan: ClusterPlan, source: SourceSettings | UnreadableSource | None, source_id: str
) -> Iterator[str]:
    if isinstance(source, UnreadableSource):
        yield f"what else the source cluster {source_id} has is not known: it {source.why}"
    elif source is not None:
        yield from _autoscaled(plan, source)
        yield from _watching(plan, source)
        yield from _tags(plan, source)
        yield from source.left_behind
        yield from _differing_readers(source)
        yield from source.unknown
    elif not request.like_source and source_id:
        yield f"like_source is false: the source cluster {source_id} was not read, and nothing was taken from it"


def _autoscaled(plan: ClusterPlan, source: SourceSettings) -> Iterator[str]:
    if source.autoscaled and plan.origins.get("instance_count") == "source":
        yield (
            f"{counted(len(source.autoscaled), 'reader')} that Aurora Auto Scaling added, and removes again: "
            f"{listed(source.autoscaled)}"
        )
    if source.scaling is not None:
        yield f"Aurora Auto Scaling of {source.scaling.least} to {source.scaling.most} readers, with its policies"


def _watching(plan: ClusterPlan, source: SourceSettings) -> Iterator[str]:
    writer = source.instances[0] if source.instances else None
    if writer is None:
        return
    interval, key = writer.value(_MONITORING), writer.value("performance_insights_kms_key_id")
    if interval and not plan.monitoring_interval_seconds and plan.origins.get(_MONITORING) == "default":
        yield f"Enhanced Monitoring every {interval} seconds: the stack's MonitoringRoleArn, which it needs, is empty"
    if key and plan.performance_insights_retention_days and not plan.performance_insights_kms_key_id:
        yield f"the key of Performance Insights {key}: it works only in its own account and region; RDS's own is used"


_MONITORING = "monitoring_interval_seconds"


def _tags(plan: ClusterPlan, source: SourceSettings) -> Iterator[str]:
    """Yield the keys alone, because values may be secret."""
    keys = sorted(
        key for key, value in source.tags.items() if plan.tags.get(key) != value and not key.startswith("aws:")
    )
    if keys:
        yield f"tags: {listed(keys)}"


def _differing_readers(source: SourceSettings) -> Iterator[str]:
    if not source.instances:
        return
    writer = source.instances[0]
    for setting in _ALIKE:
        wanted: Any = writer.value(setting.name)
        other = {
            name: value
            for name, each in zip(source.names, source.instances, strict=True)
            if (value := each.value(setting.name)) is not None and wanted is not None and value != wanted
        }
        if other:
            values = listed(f"{name} has {_spoken(value)}" for name, value in other.items())
            yield f"{setting.called}: {values}; every new instance gets the writer's, {_spoken(wanted)}"


def _spoken(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)
