"""The queries that the double of Firestore understands: one collection, comparisons joined by AND, an order, a limit."""

import operator
from collections.abc import Callable, Mapping
from typing import Any

from google.cloud.firestore_v1 import types

Comparison = Callable[[Any, Any], bool]

_Operator = types.StructuredQuery.FieldFilter.Operator
OPERATORS: Mapping[int, Comparison] = {
    _Operator.LESS_THAN: operator.lt,
    _Operator.LESS_THAN_OR_EQUAL: operator.le,
    _Operator.GREATER_THAN: operator.gt,
    _Operator.GREATER_THAN_OR_EQUAL: operator.ge,
    _Operator.EQUAL: operator.eq,
}
KNOWN = {"from_", "where", "order_by", "limit"}


def run(request: Any, documents: Mapping[str, Any]) -> list[Any]:
    """What a RunQueryRequest finds in `documents`, by name.

    Raises:
        NotImplementedError: it uses what is not known here.
    """
    query = request.structured_query
    if unknown := {field.name for field, _ in query.ListFields()} - KNOWN:
        raise NotImplementedError(f"The double knows no {', '.join(sorted(unknown))}.")
    prefix = f"{request.parent}/{query.from_[0].collection_id}/"
    filters = _filters(query.where)
    orders = [(order.field.field_path, order.direction == types.StructuredQuery.Direction.DESCENDING) for order in query.order_by]
    needed = {field for field, _ in orders}
    found = [
        (name, document)
        for name, document in documents.items()
        if name.startswith(prefix) and needed <= set(document.fields) and all(_holds(document, *part) for part in filters)
    ]
    found.sort(key=lambda pair: pair[0], reverse=bool(orders and orders[-1][1]))
    for field, descending in reversed(orders):
        found.sort(key=lambda pair: _comparable(pair[1].fields[field]), reverse=descending)
    limit = query.limit.value if query.HasField("limit") else len(found)
    return [document for _, document in found[:limit]]


def _filters(where: Any) -> list[tuple[str, Comparison, tuple[str, Any]]]:
    kind = where.WhichOneof("filter_type")
    if kind is None:
        return []
    if kind == "composite_filter" and where.composite_filter.op == types.StructuredQuery.CompositeFilter.Operator.AND:
        return [part for inner in where.composite_filter.filters for part in _filters(inner)]
    if kind == "field_filter" and where.field_filter.op in OPERATORS:
        asked = where.field_filter
        return [(asked.field.field_path, OPERATORS[asked.op], _comparable(asked.value))]
    raise NotImplementedError(f"The double knows no such filter: {where}")


def _holds(document: Any, field: str, compare: Comparison, value: tuple[str, Any]) -> bool:
    """A comparison finds values of its own kind alone (https://firebase.google.com/docs/firestore/query-data/queries)."""
    if field not in document.fields:
        return False
    stored = _comparable(document.fields[field])
    return stored[0] == value[0] and compare(stored, value)


def _comparable(value: Any) -> tuple[str, Any]:
    kind = value.WhichOneof("value_type")
    if kind == "timestamp_value":
        return kind, value.timestamp_value.ToNanoseconds()
    if kind == "string_value":
        return kind, value.string_value.encode()  # Firestore orders text by its UTF-8.
    if kind in {"integer_value", "double_value"}:
        return "number", getattr(value, kind)
    raise NotImplementedError(f"The double does not compare {kind}.")
