"""Reading YAML strictly: text that YAML 1.1 would read in a surprising way is refused."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

from omni_msa.errors import InputError, Problem

_BYTES_MAX = 200_000  # parsing takes about a second per 100,000 bytes
_DEPTH_MAX = 50
_INTEGER_MAX = 2**63
_REFUSED = {
    yaml.AliasToken: "aliases (*name) are not supported",
    yaml.TagToken: "tags (!name) are not supported",
}
_OPENING = (
    yaml.BlockMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.FlowSequenceStartToken,
)
_CLOSING = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)


class _Loader(yaml.SafeLoader):
    """Safe YAML in which `2e-4` is a number and a repeated key is an error."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen = set()
    for key, _ in node.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else id(key)
        if name in seen:
            raise yaml.constructor.ConstructorError(None, None, f"the key {name!r} is used twice", key.start_mark)
        seen.add(name)
    return loader.construct_mapping(node, deep=True)


def _number(loader: _Loader, node: yaml.ScalarNode) -> int | float:
    """Build a number, but refuse 010 (8 in YAML 1.1) and 1:30 (90 in YAML 1.1)."""
    text = str(node.value)
    if ":" in text or re.fullmatch(r"[-+]?0[0-9_]+", text):
        message = f"{text} is not written as a plain decimal number; put text in quotes"
        raise yaml.constructor.ConstructorError(None, None, message, node.start_mark)
    whole = node.tag.endswith(":int")
    value: int | float = loader.construct_yaml_int(node) if whole else loader.construct_yaml_float(node)
    return value


_Loader.add_implicit_resolver(  # YAML 1.1 reads 2e-4 as a string because it has no dot
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+0123456789.")
)
_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_Loader.add_constructor("tag:yaml.org,2002:int", _number)
_Loader.add_constructor("tag:yaml.org,2002:float", _number)


def parse(text: str, where: str) -> Any:
    """Return the plain value of a YAML text: None, bool, int, float, str, lists and mappings with text keys.

    Raises:
        InputError: not YAML, too long or nested too deeply, a repeated key, aliases (which can exhaust memory), tags,
            dates, keys that are not text, or whole numbers beyond 64 bits.
    """
    if len(text) > _BYTES_MAX:
        raise InputError(Problem("the text is too long", where, f"over {_BYTES_MAX} characters", "short YAML"))
    try:
        _check_tokens(text)
        value = yaml.load(text, _Loader)  # a SafeLoader
        _check_plain(value)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        got = " ".join(str(error).replace('in "<unicode string>", ', "at ").split()) or type(error).__name__
        step = "indent with spaces instead of tabs" if "'\\t'" in got else "correct the text there"
        raise InputError(Problem("not valid YAML", where, got, next_step=step)) from error
    return value


def parse_value(text: str, where: str) -> Any:
    """Return the value of a setting on the command line: what is typed is what is meant.

    Only what begins with a bracket, a brace or a quote is read as YAML. All else is a number, true, false, null or
    nothing if it reads as one, and otherwise the text itself, whatever characters it has (`#`, `: `, `~`, `*`).

    Raises:
        InputError: as `parse`.
    """
    plain = text.strip()
    if plain[:1] in ("[", "{", '"', "'"):
        return parse(text, where)
    tag = _Loader("").resolve(yaml.ScalarNode, plain, (True, False))  # type: ignore[no-untyped-call]
    is_text = plain == "~" or tag.rpartition(":")[2] not in ("int", "float", "bool", "null")
    return parse(json.dumps(plain, ensure_ascii=False) if is_text else text, where)


def _check_tokens(text: str) -> None:
    """Refuse text that could exhaust memory or time, before any value is built, and unsupported syntax."""
    depth = 0
    for token in yaml.scan(text, _Loader):
        if type(token) in _REFUSED:
            raise yaml.MarkedYAMLError(problem=_REFUSED[type(token)], problem_mark=token.start_mark)
        depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
        if depth > _DEPTH_MAX:
            raise yaml.MarkedYAMLError(problem=f"over {_DEPTH_MAX} levels deep", problem_mark=token.start_mark)


def _check_plain(value: Any) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueError(f"the key {key!r} is read as {type(key).__name__}, not as text; put it in quotes")
            _check_plain(key)
            _check_plain(item)
    elif isinstance(value, list):
        for item in value:
            _check_plain(item)
    elif isinstance(value, str):
        value.encode()  # raises for a lone surrogate, which cannot be written to files or terminals
    elif isinstance(value, int) and abs(value) >= _INTEGER_MAX:
        raise ValueError("a whole number needs more than 64 bits")
    elif not isinstance(value, int | float | None):
        raise ValueError(f"{value} is read as a {type(value).__name__}; put it in quotes")


def dump(value: Any) -> str:
    """Return plain values as YAML text from which `parse` returns equal values."""
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)


def read(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file.

    Raises:
        InputError: the file is missing, too large, not text, not YAML or not a mapping.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_BYTES_MAX + 1)
    except OSError as error:
        got = error.strerror or type(error).__name__
        raise InputError(Problem("cannot read the file", str(path), got, next_step="check the path")) from error
    if len(raw) > _BYTES_MAX:
        raise InputError(Problem("the file is too large", str(path), f"over {_BYTES_MAX} bytes", "a short YAML file"))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problem = Problem("cannot read the file", str(path), "not UTF-8 text", "a YAML file", "check the path")
        raise InputError(problem) from error
    value = parse(text, str(path))
    if not isinstance(value, dict):
        got = "nothing" if value is None else f"a {type(value).__name__}"
        raise InputError(Problem("not a mapping of names to values", str(path), got, "key: value"))
    return value
