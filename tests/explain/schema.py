"""What holds the data of a page against its schema, which is itself checked once, not with each of a hundred pages."""

import json
from pathlib import Path

import jsonschema

import refcnn

_SCHEMA = json.loads((Path(refcnn.__file__).parent / "explain" / "explain.schema.json").read_text(encoding="utf-8"))
jsonschema.Draft202012Validator.check_schema(_SCHEMA)

VALIDATOR = jsonschema.Draft202012Validator(_SCHEMA)
