"""A base for value objects on the way to a first answer.

attrs takes longer to import than all that a first call needs, so the few classes which that call
goes through are written by hand on this; all others use attrs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Dict, FrozenSet, Tuple

if TYPE_CHECKING:
    from typing_extensions import Self


class Value:
    """Equal to another of its class with equal fields, which cannot be set again.

    The fields are the ``__slots__`` of the class; its constructor hands them to :meth:`_set`.
    Those in ``_hidden`` are left out of the repr.
    """

    __slots__: ClassVar[Tuple[str, ...]] = ()
    _hidden: ClassVar[FrozenSet[str]] = frozenset()

    def _set(self, **fields: Any) -> None:
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def _fields(self) -> Dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    def replace(self, **fields: Any) -> Self:
        """Return a copy with other values of some fields."""
        return type(self)(**{**self._fields(), **fields})

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("%s cannot be changed" % type(self).__name__)

    def __delattr__(self, name: str) -> None:
        raise AttributeError("%s cannot be changed" % type(self).__name__)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash((type(self), *self._fields().values()))

    def __repr__(self) -> str:
        shown = ((name, value) for name, value in self._fields().items())
        parts = ("%s=%r" % pair for pair in shown if pair[0] not in self._hidden)
        return "%s(%s)" % (type(self).__name__, ", ".join(parts))

    def __reduce__(self) -> Any:
        return _restore, (type(self), self._fields())


def _restore(cls: Any, fields: Dict[str, Any]) -> Any:
    value = cls.__new__(cls)
    value._set(**fields)
    return value
