"""Members of the extension points: one file each, found by itself.

A member is a value at the top level of a module: of a package of this program, or of a file in the folder that
ALIGN_STUDIO_EXTENSIONS names. Such a file is a program that runs with everything the studio may do.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Hashable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, cast

from pipeline.base.extensions import extensions

T = TypeVar("T")
_PREFIX = "align_studio_extension_"


def members(kind: type[T], package: str, module: str = "*", *, extended: bool = True) -> list[T]:
    """Return the members of an extension point, those of this program first.

    Args:
        kind: Type of the members.
        package: Package whose modules hold them.
        module: Name of the one module in each folder of the package that holds them; "*": every module of the package.
        extended: Whether those of extensions are wanted too.

    Raises:
        ImportError: A file of the extensions' folder cannot be loaded.
    """
    found = {id(each): each for each in _own(cast(Hashable, kind), package, module)}
    if extended:
        found |= {id(each): each for loaded in _extensions(extensions()) for each in _of(kind, loaded)}
    return list(found.values())


@functools.cache
def _own(kind: Any, package: str, module: str) -> tuple[Any, ...]:
    """Return those of this program, whose files stay as they are while it runs."""
    names = _modules(package) if module == "*" else _modules_named(package, module)
    return tuple(each for name in names for each in _of(kind, importlib.import_module(name)))


def _of(kind: type[T], loaded: ModuleType) -> Iterator[T]:
    for value in vars(loaded).values():
        for each in value if isinstance(value, tuple) else (value,):
            if isinstance(each, kind):
                yield each


def _modules(package: str) -> list[str]:
    paths = importlib.import_module(package).__path__
    return [f"{package}.{info.name}" for info in pkgutil.iter_modules(paths) if not info.ispkg]


def _modules_named(package: str, module: str) -> list[str]:
    paths = importlib.import_module(package).__path__
    folders = [info.name for info in pkgutil.iter_modules(paths) if info.ispkg]
    there = [name for name in folders if any((Path(path) / name / f"{module}.py").is_file() for path in paths)]
    return [f"{package}.{name}.{module}" for name in there]


@functools.cache
def _extensions(folder: Path | None) -> tuple[ModuleType, ...]:
    return tuple(_load(file) for file in sorted(folder.glob("*.py"))) if folder else ()


def _load(file: Path) -> ModuleType:
    name = _PREFIX + file.stem
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
