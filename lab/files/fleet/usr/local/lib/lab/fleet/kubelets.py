"""Stands for what the kubelets of the simulated nodes say: renews each node's Lease in kube-node-lease, and answers the
API server's question whether a kubelet is well, on port 10250 of the node's address.

One process for all nodes of /etc/lab/nodes. A small fleet's kubelets renew each 2 s, as those of the lab's real nodes,
so that tests need not wait; a large one's each 10 s, as kubelets by default; each has its own moment in that time. A
node without power renews nothing and does not answer, as its kubelet would.
"""

import http.client
import json
import ssl
import threading
import time
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SMALL = 16
PKI = "/etc/kubernetes/pki"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"

tls = ssl.create_default_context(cafile=f"{PKI}/ca.crt")
tls.load_cert_chain(f"{PKI}/apiserver-kubelet-client.crt", f"{PKI}/apiserver-kubelet-client.key")

serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=f"{PKI}/ca.crt")
serving.load_cert_chain(f"{PKI}/kubelet.crt", f"{PKI}/kubelet.key")
serving.verify_mode = ssl.CERT_REQUIRED


def read(file):
    try:
        return Path(file).read_text()
    except OSError:
        return ""


def nodes():
    """The names of all nodes, by their addresses."""
    lines = [line.split() for line in read("/etc/lab/nodes").splitlines()]
    return {address: name for name, address, *_ in lines}


def runs(node):
    pid = read(f"/srv/fleet/nodes/{node}/pid").strip()
    return pid != "" and read(f"/proc/{pid}/comm").strip() == "unshare"


class Kubelet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 600

    def do_GET(self):
        node = nodes().get(self.connection.getsockname()[0])
        if node is None or not runs(node):
            self.close_connection = True
            return
        status, text = (200, b"ok") if self.path == "/healthz" else (404, b"404 page not found\n")
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


class Kubelets(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def get_request(self):
        connection, address = super().get_request()
        # The handshake is made by the connection's own thread, with its first read.
        return serving.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, *_):
        pass  # whoever asked has gone, or is no API server


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


def sleep_until(moment):
    time.sleep(max(0, moment - time.monotonic()))


threading.Thread(target=Kubelets(("", 10250), Kubelet).serve_forever, daemon=True).start()
while True:
    begun = time.monotonic()
    names = list(nodes().values())
    period = 2 if len(names) <= SMALL else 10
    try:
        api = http.client.HTTPSConnection("127.0.0.1", 6443, context=tls, timeout=10)
        for number, node in enumerate(names):
            sleep_until(begun + period * number / len(names))
            if runs(node):
                renew(api, node, period)
        api.close()
    except (OSError, http.client.HTTPException):
        pass  # the API server is starting, or busy: the next time
    sleep_until(begun + period)
