"""YAML as people write it: each key of a mapping once, `1e-3` is a number, `010` is none, and there is an end to it."""

from __future__ import annotations

import re
from typing import Any

import yaml

_MOST_VALUES = 100_000


def read_yaml(text: str, name: str) -> Any:
    """What a YAML file says, as `yaml.safe_load` reads it, but for these four rules.

    Args:
        text: what the file contains.
        name: of the file, for the errors.

    Raises:
        yaml.YAMLError: a key is there twice, a number begins with 0 or has colons, a date does not exist, a value does
            not fit its tag, there are too many values, in one another or by aliases, or the text is no YAML.
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
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._n_values = 0
        self._size_of: dict[yaml.Node, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Aliases of aliases make a short text grow without end, so that what an alias stands for counts every time."""
        n_before, is_alias = self._n_values, self.check_event(yaml.AliasEvent)
        node = super().compose_node(parent, index)
        if node is not None:
            self._n_values += self._size_of.get(node, 1) if is_alias else 1
            if self._n_values > _MOST_VALUES:
                problem = f"found more than {_MOST_VALUES} values, those that aliases repeat among them"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=self.get_mark())
            self._size_of[node] = self._n_values - n_before
        return node

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
