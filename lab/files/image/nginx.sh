#!/bin/sh
# Writes, as a tar to standard output, the root filesystem of a small nginx image: the server, the libraries that
# it is linked with, and a configuration with the paths and the habits of the official image.
set -eu

root=$(mktemp -d)
mkdir -p "$root/usr/sbin" "$root/etc/nginx/conf.d" "$root/usr/share/nginx/html" \
  "$root/var/cache/nginx" "$root/var/log/nginx" "$root/var/lib/nginx" "$root/run" "$root/tmp"
chmod 1777 "$root/tmp"
ln -s ../run "$root/var/run"

for file in /usr/sbin/nginx $(ldd /usr/sbin/nginx | grep -o '/[^ ]*'); do
  file=$(realpath "$file")
  mkdir -p "$root$(dirname "$file")"
  cp "$file" "$root$file"
done
# The names that programs are linked with point at versioned files.
ldd /usr/sbin/nginx | sed -n 's#^\s*\(\S*\) => \(\S*\) .*#\1 \2#p' | while read -r name file; do
  file=$(realpath "$file")
  [ -e "$root$(dirname "$file")/$name" ] || ln -s "$(basename "$file")" "$root$(dirname "$file")/$name"
done
# The kernel looks for the loader where the program says, such as /lib64/ld-linux-x86-64.so.2.
loader=$(ldd /usr/sbin/nginx | sed -n 's#^\s*\(/\S*\) (.*#\1#p')
loader_folder=usr/$(basename "$(dirname "$loader")")
mkdir -p "$root/$loader_folder"
cp -L "$loader" "$root/$loader_folder/"
for folder in lib lib64; do
  [ ! -d "$root/usr/$folder" ] || ln -s "usr/$folder" "$root/$folder"
done

printf 'root:x:0:0:root:/:/usr/sbin/nologin\nnginx:x:101:101:nginx:/nonexistent:/usr/sbin/nologin\n' >"$root/etc/passwd"
printf 'root:x:0:\nnginx:x:101:\n' >"$root/etc/group"
cp /etc/nginx/mime.types "$root/etc/nginx/"
ln -s /dev/stdout "$root/var/log/nginx/access.log"
ln -s /dev/stderr "$root/var/log/nginx/error.log"
printf '<!doctype html>\n<title>Welcome to nginx!</title>\n<h1>Welcome to nginx!</h1>\n' \
  >"$root/usr/share/nginx/html/index.html"
cat >"$root/etc/nginx/nginx.conf" <<'CONFIG'
worker_processes 1;
error_log /dev/stderr notice;
pid /var/run/nginx.pid;
events {}
http {
  include /etc/nginx/mime.types;
  access_log /dev/stdout;
  client_body_temp_path /var/cache/nginx/client_temp;
  proxy_temp_path /var/cache/nginx/proxy_temp;
  fastcgi_temp_path /var/cache/nginx/fastcgi_temp;
  uwsgi_temp_path /var/cache/nginx/uwsgi_temp;
  scgi_temp_path /var/cache/nginx/scgi_temp;
  server {
    listen 80;
    root /usr/share/nginx/html;
  }
}
CONFIG
chown -R 101:101 "$root/var/cache/nginx" "$root/var/lib/nginx"
tar -C "$root" --numeric-owner -cf - .
