"""The sections of params.yaml as frozen dataclasses, with errors that name key, recipe and remedy."""

import io
import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from petseg.errors import UserError

FILE = Path("params.yaml")
Section = dict[str, Any]


def load(schema: Any, stage: str) -> Any:
    """Return a stage's section of params.yaml as its dataclass.

    Raises:
        UserError: the file is missing, or the section has a key that is unknown, missing or out
            of range.
    """
    return check(schema, origin(), stage, read_yaml(FILE).get(stage))


def active_recipe() -> str:
    """Return the name of the recipe that params.yaml was made from."""
    name = read_yaml(FILE).get("recipe")
    if not isinstance(name, str):
        raise UserError(
            f"{FILE}: the first line must be `recipe: NAME`; `petseg use demo --discard` writes it"
        )
    return name


def origin() -> str:
    """Return how errors name params.yaml: the file and its recipe."""
    return f"{FILE}, recipe {active_recipe()}"


def read_yaml(path: Path) -> Section:
    """Return a YAML file's mapping.

    Raises:
        UserError: the file is missing, is not YAML, or holds something else than a mapping.
    """
    try:
        return parse_yaml(path.read_bytes(), str(path))
    except FileNotFoundError:
        raise UserError(f"{path} is missing here; run from the project's folder") from None


def parse_yaml(content: bytes, source: str) -> Section:
    """Return the mapping in the bytes of a YAML file; `source` names the file in errors.

    Raises:
        UserError: it is not YAML, or holds something else than a mapping.
    """
    try:
        document = YAML(typ="safe", pure=True).load(content)
    except YAMLError as error:
        raise UserError(f"{source} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        raise UserError(f"{source}: expected a mapping of sections")
    return document


def to_yaml(content: Section) -> str:
    """Return a mapping as YAML: a line for each value, in the order of the mapping."""
    buffer = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.sort_base_mapping_type_on_output = False, False
    yaml.width = 78
    yaml.dump(content, buffer)
    return buffer.getvalue()


def check(schema: Any, source: str, stage: str, section: object) -> Any:
    """Return a stage's section as its dataclass.

    Args:
        schema: the dataclass, or a union of dataclasses told apart by one key.
        source: where the section was read, for errors: `params.yaml, recipe demo`.
        stage: the section's name.
        section: what was read.

    Raises:
        UserError: one line with every key that is unknown, missing or out of range.
    """
    if not isinstance(section, dict):
        raise UserError(f"{source}: the section {stage} is missing; `petseg use` writes every one")
    adapter = TypeAdapter(schema)
    try:
        return adapter.validate_json(json.dumps(section, default=str), strict=True)
    except ValidationError as error:
        document = adapter.json_schema()
        details = error.errors()
        # Pydantic calls a list with a wrong item too short as well.
        parents = {d["loc"][:length] for d in details for length in range(len(d["loc"]))}
        faults = [explain(document, stage, d) for d in details if d["loc"] not in parents]
        raise UserError(f"{source}: {'; '.join(faults)}") from None


def explain(document: Section, section: str, detail: ErrorDetails) -> str:
    """Return one fault in words: the key, what is wrong with it, and what is allowed.

    Args:
        document: the JSON schema of the section.
        section: the section's name, with which the key begins.
        detail: what pydantic says of the fault.
    """
    schema = document
    key = section
    for step in detail["loc"]:
        if step in (references := variants(schema)):
            schema = resolve(document, {"$ref": references[step]})  # a variant, not a key
            continue
        key += f".{step}"
        entry = schema.get("properties", {}).get(step, schema.get("items", {}))
        parent, schema = schema, resolve(document, entry)
    if detail["type"] == "unexpected_keyword_argument":
        return f"{key} is unknown; known: {', '.join(parent['properties'])}"
    if detail["type"] == "missing":
        return f"{key} is missing; allowed: {allowed(schema)}"
    if detail["type"].startswith("union_tag"):
        tag = document["discriminator"]["propertyName"]
        value = detail["input"].get(tag) if isinstance(detail["input"], dict) else None
        return f"{key}.{tag} is {value}; allowed: {', '.join(document['discriminator']['mapping'])}"
    if detail["type"] == "value_error":  # raised by a check of our own
        return f"{key} {detail['ctx']['error']}"
    return f"{key} is {detail['input']!r}; allowed: {allowed(schema) or detail['msg']}"


def variants(schema: Section) -> dict[Any, str]:
    """Return the references of a union's dataclasses by the tag that an error has for each."""
    references = [option["$ref"] for option in schema.get("oneOf", ()) if "$ref" in option]
    by_name = {reference.removeprefix("#/$defs/"): reference for reference in references}
    return {**by_name, **schema.get("discriminator", {}).get("mapping", {})}


def resolve(document: Section, schema: Section) -> Section:
    """Return the schema that a reference within a JSON schema leads to, or the schema itself."""
    name = schema.get("$ref", "").removeprefix("#/$defs/")
    return document["$defs"][name] if name else schema


def allowed(schema: Section) -> str:
    """Return in words which values a key's JSON schema allows; empty if it does not say."""
    if "const" in schema or "enum" in schema:
        return ", ".join(map(str, schema.get("enum", [schema.get("const")])))
    if "anyOf" in schema:
        return " or ".join(filter(None, map(allowed, schema["anyOf"])))
    kinds = {"integer": "a whole number", "number": "a number", "boolean": "true or false"}
    kinds |= {"string": "text", "array": "a list", "object": "a mapping", "null": "null"}
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {schema[name]:g}" for name, sign in bounds.items() if name in schema]
    kind = kinds.get(schema.get("type", ""), "")
    items = f" of {allowed(schema['items'])}" if "items" in schema else ""
    items += ", not empty" if "minItems" in schema else ""
    return " ".join([kind + items, " and ".join(limits)]).strip()
