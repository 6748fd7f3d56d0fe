"""Writes the tables of README.md: counts per folder and the byte figures.

The tables stand between marks; the rest of the page is left alone.
"""

import re


def table(header, rows):
    """Returns a Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows])


def count_table(documents):
    """Returns valid and invalid tests of each folder."""
    rows = {}
    for name, document in documents.items():
        row = rows.setdefault(name.split("/")[0], [0, 0])
        for test in document["tests"]:
            row[test["result"] == "invalid"] += 1
    content = [(name, valid, invalid, valid + invalid) for name, (valid, invalid) in sorted(rows.items())]
    sums = [sum(row[column] for row in content) for column in (1, 2, 3)]
    return table(("folder", "valid", "invalid", "all"), [*content, ("**all**", *sums)])


def size_table(documents):
    """Returns the sizes of 08-bytes."""
    tests = documents["08-bytes/sizes.json"]["tests"]
    rows = [(test["name"].removeprefix("bytes-"), test["comment"], test["bytes"], test["budget"]) for test in tests]
    return table(("message", "what", "bytes", "budget"), rows)


def page(text, documents):
    """Returns the page with its tables filled."""
    for mark, content in (("counts", count_table(documents)), ("sizes", size_table(documents))):
        begin, end = f"<!-- {mark} -->\n", f"\n<!-- /{mark} -->"
        text, found = re.subn(re.escape(begin) + ".*?" + re.escape(end), lambda _: begin + content + end, text, flags=re.DOTALL)
        assert found == 1, mark
    return text
