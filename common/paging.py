"""A collection page by page: Kubernetes API concepts, "Retrieving large results sets in chunks"."""

from collections.abc import Callable, Iterator, Mapping

from common.api_types import Json


def pages(
    get: Callable[[dict[str, str]], Json], query: Mapping[str, str] | None, page_items: int
) -> Iterator[Json]:
    """Yield raw lists as `get` returns them for a query, and raise what it raises."""
    chosen = {**(query or {}), "limit": str(page_items)}
    while True:
        page = get(chosen)
        metadata = page.get("metadata")
        rest = metadata.get("continue") if isinstance(metadata, dict) else None
        yield page
        if not rest:
            return
        del page, metadata  # or it would be in memory beside the next one
        chosen["continue"] = str(rest)
