"""What the model is asked of a pair, as the body of a request."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from pairsieve.schemas.recipe_captions import PLACEHOLDERS, Captions


def question(options: Captions, pair: Mapping[str, Any], image: tuple[bytes, str] | None) -> bytes:
    """Return the JSON of a request.

    Args:
        options: The recipe's section.
        pair: `text`, `url` and `language`.
        image: The stored image and its format.
    """
    asked = options.prompt.format(**{name: pair[name] or "" for name in PLACEHOLDERS})
    content: Any = asked
    if image:
        body, kind = image
        data = base64.b64encode(body).decode()
        url = f"data:image/{'jpeg' if kind == 'jpg' else kind};base64,{data}"
        content = [
            {"type": "image_url", "image_url": {"url": url}},
            {"type": "text", "text": asked},
        ]
    messages = [{"role": "user", "content": content}]
    if options.system:
        messages.insert(0, {"role": "system", "content": options.system})
    request: dict[str, Any] = {
        "model": options.model,
        "messages": messages,
        "max_tokens": options.max_tokens,
        "temperature": options.temperature,
        **options.parameters,
    }
    if len(options.columns) > 1:
        request["response_format"] = _json_with(options.columns)
    return json.dumps(request).encode()


def _json_with(columns: tuple[str, ...]) -> dict[str, Any]:
    """Return what makes a service that can answer JSON with these keys."""
    schema = {
        "type": "object",
        "properties": {name: {"type": "string"} for name in columns},
        "required": list(columns),
        "additionalProperties": False,
    }
    named = {"name": "captions", "strict": True, "schema": schema}
    return {"type": "json_schema", "json_schema": named}
