"""The JSON Schema of a host's file."""

from __future__ import annotations

from typing import Any

from simmate_remote.inventory.models import HostDescription


def json_schema() -> dict[str, Any]:
    """Describe a host's file as a JSON Schema, for editors."""
    schema = HostDescription.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A host of simmate-remote", **schema}
