"""moto looks for each member of an answer under several names, and works them out each time.

That took a fifth of all the time that the embedded AWS spends on a run: a DynamoDB item has hundreds of members. The
names follow from the member's place in the service's model and the object's class alone, so they are remembered.
"""

from __future__ import annotations

from typing import Any

from moto.core.serialize import AttributePickerContext, XFormedAttributePicker

_names_of: dict[tuple[Any, ...], list[str]] = {}
_work_out = XFormedAttributePicker.get_possible_keys


def install() -> None:
    """Replace moto's way for this process, once and for all."""
    XFormedAttributePicker.get_possible_keys = _remembered  # type: ignore[method-assign,assignment]


def _remembered(picker: XFormedAttributePicker, context: AttributePickerContext) -> list[str]:
    shape = context.shape
    place = (
        context.service_model.service_name if context.service_model else None,
        getattr(getattr(shape, "parent", None), "name", None),
        shape.name,
        shape.serialization.get("name"),
        context.key,
        type(context.obj),
    )
    if place not in _names_of:
        _names_of[place] = list(dict.fromkeys(_work_out(picker, context)))
    return _names_of[place]
