"""A part of the caller's flow together with its path, and the one exception for what cannot be converted."""

import contextlib


class CannotConvert(NotImplementedError):
    """A part of a flow has no counterpart here. `path` says where it stands in the flow, `reason` why not."""

    def __init__(self, path, reason):
        super().__init__(f"{path}: {reason}" if path else reason)
        self.path, self.reason = path, reason

    def __reduce__(self):
        return type(self), (self.path, self.reason)


class Placed:
    """What has a `path` in a flow, and a `type`, and is refused with both."""

    def cannot(self, reason):
        return CannotConvert(self.path, reason)

    def require(self, holds, reason):
        if not holds:
            raise self.cannot(reason)

    def by_names(self, names, rules, *arguments):
        """What the first rule that there is for one of the names makes of it. A rule that is a text refuses."""
        for name in names:
            if name in rules:
                rule = rules[name]
                if isinstance(rule, str):
                    raise self.cannot(f"{self.type}: {rule}")
                return rule(self, *arguments)
        raise self.cannot(f"{self.title} has no counterpart {self.elsewhere}")


class Source(Placed):
    """What stands at a path of the caller's flow. Attributes and items are Sources too; `it` is the object itself."""

    elsewhere = "here"

    def __init__(self, it, path=""):
        self.it, self.path = it, path

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        if not hasattr(self.it, name):
            raise self.cannot(f"a {self.type} without `{name}`, which its library's own class has")
        return Source(getattr(self.it, name), f"{self.path}.{name}" if self.path else name)

    def __getitem__(self, key):
        return Source(self.it[key], f"{self.path}[{key!r}]")

    def __iter__(self):
        return (self[i] for i in range(len(self.it)))

    def __len__(self):
        return len(self.it)

    def has(self, name):
        """Whether there is such an attribute, other than None."""
        return getattr(self.it, name, None) is not None

    @property
    def type(self):
        return type(self.it).__name__

    @property
    def library(self):
        return type(self.it).__module__.split(".")[0]

    @property
    def title(self):
        return f"{self.library}'s {self.type}"

    def by_type(self, rules, *arguments):
        """What the rule of its class, or of the nearest class that it inherits from, makes of it."""
        return self.by_names([cls.__name__ for cls in type(self.it).__mro__], rules, *arguments)


@contextlib.contextmanager
def blamed(source):
    """What goes wrong inside, other than a refusal, is told with the part that it went wrong with."""
    try:
        yield
    except CannotConvert:
        raise
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise source.cannot(f"{source.type}: {type(error).__name__}: {error}") from error
