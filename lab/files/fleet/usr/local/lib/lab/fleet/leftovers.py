"""Says what there is on the nodes that ought to go by itself, and how many certificates each has in its bundle.

Prints a JSON object: the node's name -> "asides", "kept", "sessions", "processes", "certificates". See `Leftovers` in
lab/fleet.ts. All nodes are looked at from outside, so that nothing of it can be seen on them.
"""

import json
import os
from pathlib import Path

FOLDER = Path("/srv/fleet/nodes")
BUNDLE = "etc/pki/tls/certs/ca-bundle.crt"


def read(file):
    try:
        return Path(file).read_bytes()
    except OSError:
        return b""  # it ended meanwhile


def namespace(place):
    try:
        return os.readlink(place)
    except OSError:
        return None


def processes():
    """All processes by the namespace that they are in: (pid, parent, command)."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        own = namespace(f"/proc/{pid}/ns/pid")
        stat = read(f"/proc/{pid}/stat").decode(errors="replace")
        command = read(f"/proc/{pid}/cmdline").replace(b"\0", b" ").decode(errors="replace").strip()
        if own and stat and command:  # a process that waits for its burial has no command
            found.setdefault(own, []).append((pid, stat.rsplit(")", 1)[1].split()[1], command))
    return found


def of_node(node, everywhere):
    written = node / "written"
    asides = [
        f"/{Path(folder, name).relative_to(written)}"
        for part in ("etc", "usr")
        for folder, _, names in os.walk(written / part)
        for name in names
        if name.startswith(".tkc-registry-") and name.endswith(".new")
    ]
    kept = written / "var/lib/tkc-registry/new"
    own = written / BUNDLE
    bundle = read(own if own.exists() else f"/{BUNDLE}")
    first = read(node / "pid").decode().strip()
    there = everywhere.get(namespace(f"/proc/{first}/ns/pid_for_children"), []) if first else []
    listener = next((pid for pid, parent, _ in there if parent == first), None)
    return {
        "asides": sorted(asides),
        "kept": sorted(os.listdir(kept)) if kept.is_dir() else [],
        "sessions": sum(parent == listener for _, parent, command in there if command.startswith("sshd:")),
        "processes": [
            command[:200]
            for pid, _, command in there
            if pid != listener and not command.startswith("sshd:") and command != "sleep infinity"
        ],
        "certificates": bundle.count(b"-----BEGIN CERTIFICATE-----"),
    }


everywhere = processes()
print(json.dumps({node.name: of_node(node, everywhere) for node in sorted(FOLDER.iterdir())}))
