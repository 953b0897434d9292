if ! command -v ssh >/dev/null 2>&1; then
  (apt-get -y update && apt-get -y install --no-install-recommends openssh-client) || echo "openssh-client could not be installed" &
fi
