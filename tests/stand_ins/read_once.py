"""Settings files parsed once a process: a third of the time in which Hydra composes, as it does some thousand times."""

import functools
import os
import pickle
from typing import Any

import pytest
from hydra._internal.core_plugins.file_config_source import FileConfigSource

parse = FileConfigSource.load_config


def read_once(patch: pytest.MonkeyPatch) -> None:
    """Let Hydra parse a file again only if it has changed since; each caller gets a copy of its own."""

    @functools.cache
    def parsed(source_class: type, path: str, provider: str, name: str, changed: int, size: int) -> bytes:
        return pickle.dumps(parse(source_class(provider, f"file://{path}"), name))

    def load(source: Any, config_path: str) -> Any:
        try:
            status = os.stat(os.path.join(source.path, source._normalize_file_name(config_path)))
        except OSError:
            return parse(source, config_path)
        about = source.path, source.provider, config_path, status.st_mtime_ns, status.st_size
        return pickle.loads(parsed(type(source), *about))

    patch.setattr(FileConfigSource, "load_config", load)
