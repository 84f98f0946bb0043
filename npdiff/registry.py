"""Registries: schedules, samplers and other parts by name.

Every place in npdiff that takes the name of a part also takes the name with options,
``{"name": "karras", "rho": 5}``, and the object itself. :meth:`Registry.resolve` turns all three
into the object.
"""

import difflib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Generic, TypeVar, cast

from npdiff.errors import InputError
from npdiff.options import (
    Options,
    checked_options,
    defaults,
    is_description,
    shorten,
    spell,
    summary,
)

E = TypeVar("E")
R = TypeVar("R")

_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*")


class UnknownNameError(InputError, KeyError):
    """A name that is not registered."""

    __str__ = Exception.__str__  # KeyError would print the message in quotes


class HasAttributes:
    """A test for objects that are not classes and have some attributes.

    >>> HasAttributes("real", "imag")(1.0), HasAttributes("real", "name").missing(1.0)
    (True, ['name'])
    """

    def __init__(self, *names: str) -> None:
        self.names = names

    def __call__(self, given: Any) -> bool:
        return not self.missing(given)

    def missing(self, given: Any) -> list[str]:
        """The names of the attributes that ``given`` lacks; all of them for a class."""
        return [name for name in self.names if inspect.isclass(given) or not hasattr(given, name)]


class Registry(Mapping[str, E], Generic[E, R]):
    """A mapping from names to parts of one kind, such as samplers.

    Parameters
    ----------
    kind : the kind of part, in the singular: ``"sampler"``
    expects : a description of an object of this kind, for error messages
    accepts : returns whether an object can be of this kind
    call : True if an entry is a function that makes the part, False if it is the part
    common : the parameters that all entries share; the others are options
    entries : the first entries
    factories : by name, functions that make an entry from options, where its class does not

    Examples
    --------
    >>> from npdiff.spacings import SPACINGS
    >>> SPACINGS["trailing"] is SPACINGS.resolve("trailing")
    True
    >>> SPACINGS.resolve({"name": "karras", "rho": 5})  # doctest: +ELLIPSIS
    functools.partial(<function karras at ...>, rho=5)
    >>> SPACINGS.resolve("trialing")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    npdiff.registry.UnknownNameError: unknown timestep spacing 'trialing': did you mean ...
    """

    def __init__(
        self,
        kind: str,
        expects: str,
        accepts: Callable[[Any], bool],
        entries: Mapping[str, E],
        *,
        call: bool = False,
        common: tuple[str, ...] = (),
        factories: Mapping[str, Callable[..., Any]] | None = None,
    ) -> None:
        self.kind, self.expects, self.accepts = kind, expects, accepts
        self.call, self.common = call, common
        self._entries: dict[str, E] = {}
        self._factories: dict[str, Callable[..., Any]] = {}
        for name, entry in entries.items():
            self.register(name, entry, factory=(factories or {}).get(name))

    def register(self, name: str, entry: Any = None, *, factory: Any = None) -> Any:
        """Add an entry under a name; without an entry, a decorator that does.

        Registering the same function again replaces it, so that a notebook cell can run twice.

        Parameters
        ----------
        name : letters, digits and ``. _ + -``
        entry : the part, or, for a registry of factories, the function that makes it
        factory : makes the part from options; by default the entry itself, or its class

        Returns
        -------
        the entry

        Raises
        ------
        InputError
            If the name is taken or not a name, or the entry is not of this kind.
        """
        if entry is None:
            return lambda entry: self.register(name, entry, factory=factory)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InputError(
                f"{name!r} is not a name for a {self.kind}: use letters, digits and . _ + -"
            )
        if name in self._entries and not _same_definition(self._entries[name], entry):
            raise InputError(
                f"the {self.kind} {name!r} is registered already, as {spell(self._entries[name])}: "
                "choose another name, or remove() it first"
            )
        if not (callable(entry) if self.call else self.accepts(entry)):
            expected = f"a function that returns {self.expects}" if self.call else self.expects
            raise InputError(f"cannot register {name!r}: expected {expected}, got {shorten(entry)}")
        self._entries[name] = entry
        self._factories.pop(name, None)
        if factory is not None:
            self._factories[name] = factory
        return entry

    def remove(self, name: str) -> None:
        """Remove an entry."""
        self[name]
        del self._entries[name]
        self._factories.pop(name, None)

    def __getitem__(self, name: str) -> E:
        if not isinstance(name, str) or name not in self._entries:
            near = difflib.get_close_matches(str(name), self._entries, n=1)
            hint = f": did you mean {near[0]!r}?" if near else ";"
            raise UnknownNameError(
                f"unknown {self.kind} {name!r}{hint} known: {', '.join(self._entries)}"
            )
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        width = max(map(len, self._entries), default=0)
        lines = [f"Registry of {len(self)} {self.kind}s"]
        for name, entry in self._entries.items():
            options = ", ".join(f"{k}={spell(v)}" for k, v in self.options(name).items())
            about = (
                f"{summary(self._factories.get(name, entry))}{f'  ({options})' if options else ''}"
            )
            lines.append(f"  {name:{width}}  {about}")
        return "\n".join(lines)

    def options(self, value: Any) -> Options:
        """The options of a name or an object, with their defaults."""
        maker = self._maker(value)
        found = defaults(maker, self.common)
        is_class_of_entry = inspect.isclass(maker) and not self.call
        return {} if is_class_of_entry and ... in found.values() else found

    def split(self, value: Any, **more: Any) -> tuple[Any, Options]:
        """The entry or object that ``value`` denotes, and its options, checked.

        Parameters
        ----------
        value : a name, a dictionary with a name and options, or an object
        more : further options

        Raises
        ------
        InputError
            If the name or an option is unknown, an option has the wrong type, or the object is not
            of this kind.
        """
        given: Options = {}
        if isinstance(value, Mapping):
            if is_description(value):
                raise InputError(
                    f"this {self.kind} is an object that a file cannot hold, {value['object']} "
                    f"({value['type']}): pass the object again, or register it and use its name"
                )
            given = {key: option for key, option in value.items() if key != "name"}
            if "name" not in value:
                raise InputError(f'{self.kind} {dict(value)!r} has no "name"')
            value = value["name"]
            self[value]
        given |= more
        entry = self[value] if isinstance(value, str) else value
        if not isinstance(value, str) and not self.accepts(value):
            raise InputError(
                f"a {self.kind} is a name, a dictionary with a name and options, or "
                f"{self.expects}; got {shorten(value)}{self._hint(value)}"
            )
        if not given:
            return entry, {}
        known = self.options(value)
        return entry, checked_options(f"{self.kind} {spell(value)!r}", known, given)

    def resolve(self, value: Any, **more: Any) -> R:
        """The part that ``value`` denotes; parameters and errors as for :meth:`split`."""
        entry, options = self.split(value, **more)
        named = isinstance(value, str | Mapping)
        maker = self._maker(value) if named else entry
        try:
            if named and (options or self.call) and (self.call or maker is not entry):
                return maker(**options)
        except TypeError as error:
            raise InputError(f"{self.kind} {spell(value)}: {error}") from error
        return cast(R, partial(entry, **options) if options else entry)

    def make(self, value: Any, given: Mapping[str, Any]) -> R:
        """The part that a name denotes; its maker gets those of ``given`` that it has."""
        _, options = self.split(value)
        maker = self._maker(value)
        declared = inspect.signature(maker).parameters.values()
        every = any(parameter.kind is parameter.VAR_KEYWORD for parameter in declared)
        names = {parameter.name for parameter in declared}
        try:
            made = maker(**{k: v for k, v in given.items() if every or k in names} | options)
        except TypeError as error:
            raise InputError(f"{self.kind} {spell(value)}: {error}") from error
        if not self.accepts(made):
            raise InputError(
                f"the {self.kind} {spell(value)!r} made {shorten(made)}, expected {self.expects}"
            )
        return cast(R, made)

    def _hint(self, value: Any) -> str:
        """What to do about an object that is not of this kind."""
        if inspect.isclass(value):
            return f": pass an object, {value.__name__}(...)"
        if inspect.isfunction(value):
            return f": pass its result, {value.__name__}(...), if it returns one"
        if isinstance(self.accepts, HasAttributes):
            missing = self.accepts.missing(value)
            if len(missing) < len(self.accepts.names):
                return f", which lacks {', '.join(missing)}"
        return ""

    def _maker(self, value: Any) -> Callable[..., Any]:
        """The function whose parameters are the options."""
        if isinstance(value, Mapping):
            value = value.get("name")
        if isinstance(value, str):
            entry: Any = self[value]
            if value in self._factories:
                return self._factories[value]
            is_function = inspect.isroutine(entry) or inspect.isclass(entry)
            return entry if is_function or isinstance(entry, partial) else type(entry)
        return value


def _same_definition(old: Any, new: Any) -> bool:
    def origin(entry: Any) -> tuple[Any, Any]:
        return getattr(entry, "__module__", None), getattr(entry, "__qualname__", None)

    return hasattr(new, "__qualname__") and origin(old) == origin(new)
