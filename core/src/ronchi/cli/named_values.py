"""Options of the form NAME=VALUE, as ``read`` and ``convert`` take them."""

from __future__ import annotations

from typing import Any

__all__ = ["parse_named"]


def parse_named(texts: list[str], option: str) -> dict[str, Any]:
    """Values by name, written as in a pipeline.

    Parameters
    ----------
    texts : list of str
        ``NAME=VALUE`` each.
    option : str
        What they were given to, for the messages.

    Raises
    ------
    ConfigError
    """
    from ronchi.config.source import parse_value
    from ronchi.errors import ConfigError

    values = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"{option} {text!r} is not NAME=VALUE")
        values[name] = parse_value(value, f"{option} {text}")
    return values
