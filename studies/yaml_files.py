"""YAML as people write it: each key of a mapping once, `1e-3` is a number, and `010` is none."""

from __future__ import annotations

import re
from typing import Any

import yaml


def read_yaml(text: str, name: str) -> Any:
    """What a YAML file says, as `yaml.safe_load` reads it, but for these three rules.

    Args:
        text: what the file contains.
        name: of the file, for the errors.

    Raises:
        yaml.YAMLError: a key is there twice, a number begins with 0 or has colons, a date does not exist, a value does
            not fit its tag, there are too many values in one another, or the text is no YAML.
    """
    loader = _Loader(text)
    loader.name = name
    try:
        return loader.get_single_data()
    except RecursionError as error:
        raise yaml.YAMLError("more lists or mappings in one another than can be read; write fewer") from error
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

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except ValueError as error:  # such as of the 30th of February, which looks like a date
            raise yaml.MarkedYAMLError(problem=str(error), problem_mark=node.start_mark) from error
        except (LookupError, TypeError, AttributeError) as error:  # as yaml's own code raises them, without a word
            problem = f"found what is no `{node.tag.rpartition(':')[2]}`, as its tag says"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from error

    def construct_number(self, node: yaml.ScalarNode) -> float:
        """YAML 1.1 takes `010` for eight and `1:30` for ninety."""
        is_whole = node.tag.endswith("int")
        if ":" in node.value or (is_whole and re.match(r"[-+]?0[0-9_]", node.value)):
            raise yaml.MarkedYAMLError(problem=f"found `{node.value}` for a number", problem_mark=node.start_mark)
        return self.construct_yaml_int(node) if is_whole else self.construct_yaml_float(node)


# YAML 1.1 wants `1.0e-3`, and takes other spellings for text.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)
for _kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _Loader.construct_number)
