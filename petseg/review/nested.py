"""Values read from YAML or JSON, which may have any form: dotted keys, and what differs."""

import json
from collections.abc import Mapping
from typing import Any

UNSET = "unset"  # the value of a parameter that a commit does not have


def differences(key: str, before: Any, after: Any) -> list[tuple[str, Any, Any]]:
    """Return each value that differs between two nested mappings: its dotted key, old, new."""
    types = {type(value) for value in (before, after) if value != UNSET}
    if types == {dict}:
        old, new = ({} if value == UNSET else value for value in (before, after))
        return [
            change
            for name in dict.fromkeys([*old, *new])
            for change in differences(
                f"{key}.{name}".lstrip("."), old.get(name, UNSET), new.get(name, UNSET)
            )
        ]
    return [] if before == after else [(key, before, after)]


def format_value(value: Any) -> str:
    """Return a parameter's value as params.yaml has it."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def get_dotted(document: Mapping[str, Any], key: str) -> Any:
    """Return a value by its dotted key; None if there is none."""
    value: Any = document
    for step in key.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def mapping(value: Any) -> dict[str, Any]:
    """Return a mapping, or an empty one in place of any other value."""
    return value if isinstance(value, dict) else {}


def listed(value: Any) -> list[Any]:
    """Return a list, or nothing in place of any other value."""
    return value if isinstance(value, list) else []
