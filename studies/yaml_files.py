"""YAML as people write it: each key of a mapping once, and `1e-3` is a number."""

from __future__ import annotations

import re
from typing import Any

import yaml


def read_yaml(text: str) -> Any:
    """What a YAML file says, as `yaml.safe_load` reads it, but for these two rules.

    Raises:
        yaml.YAMLError: a key is there twice, or the text is no YAML.
    """
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


class _Loader(yaml.SafeLoader):
    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set[str]()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"found `{key.value}` twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return node


# YAML 1.1 wants `1.0e-3`, and takes other spellings for text.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)
