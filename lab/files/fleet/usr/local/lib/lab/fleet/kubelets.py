"""Stands for what the kubelets of the simulated nodes say: renews each node's Lease in kube-node-lease.

One process for all nodes of /etc/lab/nodes. A small fleet's kubelets renew each 2 s, as those of the lab's real nodes,
so that tests need not wait; a large one's each 10 s, as kubelets by default. A node without power renews nothing, as
its kubelet would.
"""

import http.client
import json
import ssl
import time
from datetime import datetime, timezone
from pathlib import Path

SMALL = 16
PKI = "/etc/kubernetes/pki"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"

tls = ssl.create_default_context(cafile=f"{PKI}/ca.crt")
tls.load_cert_chain(f"{PKI}/apiserver-kubelet-client.crt", f"{PKI}/apiserver-kubelet-client.key")


def read(file):
    try:
        return Path(file).read_text()
    except OSError:
        return ""


def runs(node):
    pid = read(f"/srv/fleet/nodes/{node}/pid").strip()
    return pid != "" and read(f"/proc/{pid}/comm").strip() == "unshare"


def request(api, method, path, kind, content):
    api.request(method, path, json.dumps(content), {"Content-Type": kind})
    answer = api.getresponse()
    answer.read()
    return answer.status


def renew(api, node, period):
    spec = {
        "holderIdentity": node,
        "leaseDurationSeconds": 4 * period,
        "renewTime": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }
    if request(api, "PATCH", f"{LEASES}/{node}", "application/merge-patch+json", {"spec": spec}) == 404:
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": node}, "spec": spec}
        request(api, "POST", LEASES, "application/json", lease)


while True:
    begun = time.monotonic()
    nodes = [line.split()[0] for line in read("/etc/lab/nodes").splitlines()]
    period = 2 if len(nodes) <= SMALL else 10
    try:
        api = http.client.HTTPSConnection("127.0.0.1", 6443, context=tls, timeout=10)
        for node in nodes:
            if runs(node):
                renew(api, node, period)
        api.close()
    except (OSError, http.client.HTTPException):
        pass  # the API server is starting, or busy: the next time
    time.sleep(max(0, begun + period - time.monotonic()))
