"""One section of params.yaml into a given frozen dataclass, with errors that name key and recipe."""

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
    """Return the active recipe's section of a stage, checked against its dataclass."""
    recipe, sections = read_recipe(None)
    return check(schema, recipe, stage, sections.get(stage))


def active_recipe() -> str:
    """Return the name on the first line of params.yaml."""
    return read_recipe(None)[0]


def read_recipe(name: str | None) -> tuple[str, Section]:
    """Return a recipe's name and its sections; None stands for the active one.

    Raises:
        UserError: the file is missing or not YAML, or it has no such recipe.
    """
    try:
        document = YAML(typ="safe", pure=True).load(FILE)
    except FileNotFoundError:
        raise UserError(f"{FILE} is missing here; run from the project's folder") from None
    except YAMLError as error:
        raise UserError(f"{FILE} is not YAML: {' '.join(str(error).split())}") from error
    recipes = document.get("recipes") if isinstance(document, dict) else None
    if not isinstance(recipes, dict):
        raise UserError(f"{FILE}: recipes: expected one mapping per recipe")
    chosen = name or document.get("recipe")
    if not isinstance(recipes.get(chosen), dict):
        raise UserError(f"{FILE}: recipe: {chosen} does not exist; allowed: {', '.join(recipes)}")
    return chosen, recipes[chosen]


def check(schema: Any, recipe: str, stage: str, section: object) -> Any:
    """Return the section as its dataclass.

    Raises:
        UserError: one line with every key that is unknown, missing or out of range.
    """
    where = f"recipes.{recipe}.{stage}"
    if not isinstance(section, dict):
        raise UserError(f"{FILE}: {where} is missing: every recipe is written out in full")
    adapter = TypeAdapter(schema)
    try:
        return adapter.validate_json(json.dumps(section, default=str), strict=True)
    except ValidationError as error:
        document = adapter.json_schema()
        faults = [explain(document, where, detail) for detail in error.errors()]
        raise UserError(f"{FILE}, recipe {recipe}: " + "; ".join(faults)) from None


def explain(document: Section, where: str, detail: ErrorDetails) -> str:
    """Return one fault in words: the key, what is wrong, and what is allowed."""
    schema = document
    key = where
    for step in detail["loc"]:
        if step in (mapping := schema.get("discriminator", {}).get("mapping", {})):
            schema = resolve(document, {"$ref": mapping[step]})  # a variant, not a key
            continue
        key += f".{step}"
        parent, schema = schema, resolve(document, schema.get("properties", {}).get(step, {}))
    if detail["type"] == "unexpected_keyword_argument":
        return f"{key} is unknown; known: {', '.join(parent['properties'])}"
    if detail["type"] == "missing":
        return f"{key} is missing; allowed: {allowed(schema)}"
    if detail["type"].startswith("union_tag"):
        tag = document["discriminator"]["propertyName"]
        found = detail["input"].get(tag) if isinstance(detail["input"], dict) else None
        return f"{key}.{tag} is {found}; allowed: {', '.join(document['discriminator']['mapping'])}"
    return f"{key} is {detail['input']!r}; allowed: {allowed(schema) or detail['msg']}"


def resolve(document: Section, schema: Section) -> Section:
    """Follow a reference within a JSON schema."""
    name = schema.get("$ref", "").removeprefix("#/$defs/")
    return document["$defs"][name] if name else schema


def allowed(schema: Section) -> str:
    """Return in words which values a key's JSON schema allows; empty where it cannot tell."""
    if "const" in schema or "enum" in schema:
        return ", ".join(map(str, schema.get("enum", [schema.get("const")])))
    if "anyOf" in schema:
        return " or ".join(filter(None, map(allowed, schema["anyOf"])))
    kinds = {"integer": "a whole number", "number": "a number", "boolean": "true or false"}
    kinds |= {"string": "text", "array": "a list", "object": "a mapping", "null": "null"}
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {schema[name]:g}" for name, sign in bounds.items() if name in schema]
    kind = kinds.get(schema.get("type", ""), "")
    items = f" of {allowed(schema['items'])}, not empty" if "items" in schema else ""
    return " ".join([kind + items, " and ".join(limits)]).strip()
