"""Network code out of a peer's own package, without what it imports and does not use."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


@contextmanager
def timm_stand_in() -> Iterator[None]:
    """Stand-ins for the three names that TinyViT takes from old versions of ``timm``, which would pull in torchvision.

    Stochastic depth is the identity at inference, the initialiser is overwritten by the weights, and the registry is
    not used.
    """
    from torch import nn

    class DropPath(nn.Identity):
        def __init__(self, drop_prob: float | None = None) -> None:
            super().__init__()
            self.drop_prob = drop_prob

    def to_2tuple(value: Any) -> tuple[Any, Any]:
        return (value[0], value[1]) if isinstance(value, tuple | list) else (value, value)

    def register_model(function: Callable[..., Any]) -> Callable[..., Any]:
        return function

    contents: dict[str, dict[str, Any]] = {
        "timm": {},
        "timm.models": {},
        "timm.models.layers": {
            "DropPath": DropPath,
            "to_2tuple": to_2tuple,
            "trunc_normal_": nn.init.trunc_normal_,
        },
        "timm.models.registry": {"register_model": register_model},
    }
    saved = {name: sys.modules.get(name) for name in contents}
    for name, members in contents.items():
        module = ModuleType(name)
        module.__dict__.update(members)
        sys.modules[name] = module
    try:
        yield
    finally:
        for name, module_before in saved.items():
            if module_before is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module_before
