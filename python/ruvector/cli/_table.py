"""Plain tables for terminals."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["table"]


def table(rows: Sequence[Sequence[object]], *, header: Sequence[str] = ()) -> str:
    """Return `rows` as aligned columns: words to the left, numbers to the right."""
    texts = [[_text(cell) for cell in row] for row in rows]
    lines = ([list(header)] if header else []) + texts
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))] if lines else []
    numeric = [
        all(not isinstance(row[i], str) for row in rows) and bool(rows) for i in range(len(widths))
    ]
    rendered = [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in lines
    ]
    if header:
        rendered.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(rendered)


def _text(cell: object) -> str:
    if cell is None:
        return "-"
    return f"{cell:.4f}" if isinstance(cell, float) else str(cell)
