import assert from "node:assert/strict";
import { test } from "node:test";
import { mountsBelow } from "../../../lab/mounts";

const mountinfo = [
  "21 1 254:0 / / rw,relatime - ext4 /dev/vda rw",
  "40 21 0:30 / /srv/lab rw - tmpfs tmpfs rw",
  "41 40 0:31 / /srv/lab/a\\040b\\134c rw - overlay overlay rw",
  "42 21 0:32 / /srv/laboratory rw - tmpfs tmpfs rw",
  "43 41 0:33 / /srv/lab/a\\040b\\134c/deep rw - tmpfs tmpfs rw",
  "",
].join("\n");

test("mounts of the lab's folder are found, the latest first, and a neighbour's never", () => {
  assert.deepEqual(mountsBelow(mountinfo, "/srv/lab"), [
    "/srv/lab/a b\\c/deep",
    "/srv/lab/a b\\c",
    "/srv/lab",
  ]);
});

test("a folder in which nothing is mounted has no mounts", () => {
  assert.deepEqual(mountsBelow(mountinfo, "/srv/lab/other"), []);
});
