"""Which fields of a record are its id, title and text; all others are metadata."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sparsearch.errors import InvalidInputError, shorten

__all__ = [
    "DETECT",
    "ID_FIELDS",
    "TEXT_FIELDS",
    "TITLE_FIELDS",
    "FieldMapping",
    "RecordError",
    "ResolvedFields",
]

ID_FIELDS = ("id", "_id", "docid", "doc_id")
TITLE_FIELDS = ("title",)
TEXT_FIELDS = ("text", "contents", "body", "passage", "abstract")
"""Names looked for, in this order, when a `FieldMapping` does not name the field."""

_OUTPUT_FIELDS = frozenset({"id", "title", "text"})
_FIELDS_SHOWN = 12


class RecordError(ValueError):
    """A record cannot become a document; the reader adds the file and the line."""


@dataclass(frozen=True)
class FieldMapping:
    """The fields that hold a record's id, title and text.

    What is not named is looked for among `ID_FIELDS`, `TITLE_FIELDS` and `TEXT_FIELDS`. What is
    named must be there in every record.

    Parameters
    ----------
    id : str, optional
        Field of the id: a string, or an integer, which becomes its decimal string.
    title : str, optional
        Field of the title.
    text : tuple of str
        Fields of the text, joined by newlines; empty ones are left out.

    Raises
    ------
    InvalidInputError
        When `text` is not a tuple of names.
    """

    id: str | None = None
    title: str | None = None
    text: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.text, tuple) or not all(isinstance(name, str) for name in self.text):
            reason = f"text fields must be a tuple of names, not {shorten(self.text)}"
            raise InvalidInputError(reason)

    def resolve(self, names: Collection[str]) -> ResolvedFields:
        """Return the fields to use of a record that has the fields `names`.

        Raises
        ------
        RecordError
            When a field named in the mapping is not among them, or none can be the id, or none
            the title or the text.
        """
        for name in (self.id, self.title, *self.text):
            if name is not None and name not in names:
                raise RecordError(f"no field {shorten(name)}; {_present(names)}")
        named = {self.id, self.title, *self.text}
        # A field that is named as title or text may be the id besides, if nothing else can be.
        id_field = self.id or _first(ID_FIELDS, names, named) or _first(ID_FIELDS, names, set())
        title = self.title or _first(TITLE_FIELDS, names, named)
        found = None if self.text else _first(TEXT_FIELDS, names, named)
        text = self.text if found is None else (found,)
        if id_field is None:
            raise RecordError(f"no id field ({', '.join(ID_FIELDS)}); {_present(names)}")
        if title is None and not text:
            looked_for = ", ".join(TITLE_FIELDS + TEXT_FIELDS)
            raise RecordError(f"no title or text field ({looked_for}); {_present(names)}")
        return ResolvedFields(id_field, title, text)

    def record(self, fields: Mapping[str, object]) -> dict[str, object]:
        """Return the fields of one record as a document.

        Raises
        ------
        RecordError
            When it cannot be one.
        """
        return self.resolve(fields.keys()).record(fields)


DETECT = FieldMapping()
"""The mapping that names nothing and looks for everything."""


@dataclass(frozen=True)
class ResolvedFields:
    """A `FieldMapping` applied to the field names of one record or one table.

    Parameters
    ----------
    id : str
        Field of the id.
    title : str or None
        Field of the title, if there is one.
    text : tuple of str
        Fields of the text.
    """

    id: str
    title: str | None
    text: tuple[str, ...]

    def record(self, fields: Mapping[str, object]) -> dict[str, object]:
        """Return a document with ``id``, ``title``, ``text`` and the other fields as metadata.

        A null title or text is an empty one. The entries of an object called ``metadata`` (the
        BEIR layout) become metadata themselves. A metadata field called ``id``, ``title`` or
        ``text`` gets an underscore appended.

        Raises
        ------
        RecordError
            When the id, title or text is of the wrong type, or two fields get the same name.
        """
        record: dict[str, object] = {"id": _id(fields[self.id], self.id)}
        if self.title is not None:
            record["title"] = _string(fields[self.title], self.title)
        if len(self.text) == 1:
            record["text"] = _string(fields[self.text[0]], self.text[0])
        elif self.text:
            parts = [_string(fields[name], name) for name in self.text]
            record["text"] = "\n".join(part for part in parts if part)
        for name, value in fields.items():
            if name == self.id or name == self.title or name in self.text:
                continue
            if name == "metadata" and isinstance(value, dict):
                for inner, inner_value in value.items():
                    _add(record, inner, inner_value)
            else:
                _add(record, name, value)
        return record


def _first(
    candidates: tuple[str, ...], names: Collection[str], taken: Collection[str | None]
) -> str | None:
    for name in candidates:
        if name in names and name not in taken:
            return name
    return None


def _id(value: object, field: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        reason = f"id field {shorten(field)} is {shorten(value)}; ids are strings or integers"
        raise RecordError(reason)
    if not value:
        raise RecordError(f"id field {shorten(field)} is empty")
    return value


def _string(value: object, field: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise RecordError(f"field {shorten(field)} is {shorten(value)}, not a string")
    return value


def _add(record: dict[str, object], name: str, value: object) -> None:
    if name in _OUTPUT_FIELDS:
        name += "_"
    if name in record:
        raise RecordError(f"two metadata fields are called {shorten(name)}; rename one")
    record[name] = value


def _present(names: Collection[str]) -> str:
    if not names:
        return "it has no fields"
    shown = ", ".join(shorten(name, 40) for name in list(names)[:_FIELDS_SHOWN])
    more = len(names) - _FIELDS_SHOWN
    return f"its fields are {shown}" + (f" and {more} more" if more > 0 else "")
