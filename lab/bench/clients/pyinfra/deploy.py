from pyinfra import host
from pyinfra.operations import files, server, systemd

ca = files.put(
    name="The registry's CA",
    src=host.data.ca,
    dest="/etc/ssl/certs/registry.crt",
    mode="644",
    _sudo=True,
)
server.shell(
    name="The trust store",
    commands=["/usr/bin/rehash_ca_certificates.sh"],
    _sudo=True,
    _if=ca.did_change,
)
systemd.service(
    name="containerd",
    service="containerd.service",
    restarted=True,
    _sudo=True,
    _if=ca.did_change,
)
