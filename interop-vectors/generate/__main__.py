"""Writes all vector files below a directory: `python -m generate <directory>`."""

import hashlib
import importlib
import json
import pathlib
import sys

from . import counts, encoding, p256, schemas
from .keys import keys_file

MODULES = (
    "c01_cbor", "c02_keys", "c02_esp256", "c03_valid", "c03_header", "c03_payload", "c03_lives", "c03_esp256",
    "c03_relays", "c04_state", "c04_edit", "c05_frames", "c05_relays",
    "c06_sessions", "c06_exchange", "c06_enrol", "c06_lives", "c06_relays", "c07_acceptance", "c08_bytes", "c09_time", "c10_encryption", "c11_engine",
)


def write(path, document):
    """Writes one JSON file and returns its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = (json.dumps(document, indent=1, ensure_ascii=True) + "\n").encode()
    assert len(data) < 1 << 20, f"{path} is larger than 1 MiB"
    path.write_bytes(data)
    return data


def row(name, data, count):
    """Returns one row of the manifest."""
    return {"file": name, "sha256": hashlib.sha256(data).hexdigest(), "count": count}


def main(directory):
    """Writes every file and the manifest."""
    encoding.self_test()
    p256.self_test()
    base = pathlib.Path(directory)
    keys = keys_file()
    rows = [row("keys.json", write(base / "keys.json", keys), len(keys["keys"]))]
    documents = {}
    for module in MODULES:
        for file in importlib.import_module(f".{module}", __package__).build():
            for test in file.tests:
                schemas.check(file.operation, test)
            documents[file.path] = file.document()
            data = write(base / file.path, documents[file.path])
            rows.append(row(file.path, data, len(file.tests)))
    for operation in schemas.INPUTS:
        write(base / "schema" / (operation.replace(".", "-") + ".json"), schemas.schema(operation))
    results = [test["result"] for document in documents.values() for test in document["tests"]]
    valid, invalid = results.count("valid"), results.count("invalid")
    write(base / "manifest.json", {"valid": valid, "invalid": invalid, "files": rows})
    readme = pathlib.Path(__file__).parent.parent / "README.md"
    (base / "README.md.new").write_text(counts.page(readme.read_text(), documents))
    print(f"{len(rows)} files, {valid} valid, {invalid} invalid")


if __name__ == "__main__":
    main(sys.argv[1])
