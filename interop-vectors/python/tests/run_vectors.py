"""Gives every vector to the child and compares result, error and outputs: python tests/run_vectors.py [folder].

A vector of xfail.txt has to differ. The runner beside this folder does the same and says more.
"""

import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent.parent
VECTORS = HERE.parent / "v1"
NOT_ASKED = {"name", "spec", "comment", "flags", "diag", "result", "error"}


def agrees(got, want) -> bool:
    """Tells whether all that both name is equal; objects of a reply may say more or less than the vector."""
    if isinstance(got, dict) and isinstance(want, dict):
        want = {**want, **want.get("expect", {})}  # of a conversation
        return all(agrees(got[name], want[name]) for name in got.keys() & want.keys())
    if isinstance(got, list) and isinstance(want, list):
        return len(got) == len(want) and all(map(agrees, got, want))
    return got == want


def main() -> int:
    """Prints what differs; 0 only when nothing does."""
    child = subprocess.Popen(
        [sys.executable, "-m", "postern_device", "child"],
        cwd=HERE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    known = {line for line in (HERE / "xfail.txt").read_text().splitlines() if line and not line.startswith("#")}
    asked = failed = 0
    for path in sorted(VECTORS.glob(f"{sys.argv[1] if len(sys.argv) > 1 else '[0-9]'}*/*.json")):
        table = json.loads(path.read_text())
        for number, test in enumerate(table["tests"]):
            request = {name: value for name, value in test.items() if name not in NOT_ASKED}
            line = json.dumps({**request, "op": table["operation"], "id": number})
            print(line, file=child.stdin, flush=True)
            reply = json.loads(child.stdout.readline())
            asked += 1
            same_verdict = (reply["result"], reply.get("error")) == (test["result"], test.get("error"))
            is_same = same_verdict and reply.pop("id") == number and agrees(reply, {**test, "id": None})
            if is_same == (test["name"] in known):
                failed += 1
                print(f"{path.parent.name}/{path.name} {test['name']}: {test['result']} {test.get('error', '')}")
                print(f"  got {json.dumps(reply)[:200]}")
    child.stdin.close()
    print(f"{asked} vectors, {failed} not as expected, {len(known)} known to differ")
    return 1 if failed or asked == 0 or child.wait() else 0


sys.exit(main())
