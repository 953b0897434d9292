import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { after, before, describe, it } from "node:test";
import { readOperatorFile } from "../../../support/files";
import { problem } from "../../integration/net/server";

const subject = "registries[0].ca.path";
const read = (file: string, maxBytes = 100): Promise<Buffer> => readOperatorFile(file, { subject, maxBytes });

describe("a file that a setting names", () => {
  let folder: string;
  const at = (name: string): string => path.join(folder, name);

  before(() => {
    folder = mkdtempSync(path.join(tmpdir(), "tkc-registry-files-"));
    writeFileSync(at("file"), "content");
    symlinkSync("file", at("link"));
    symlinkSync("loop", at("loop"));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it("is read, through links too, up to its limit", async () => {
    assert.equal(String(await read(at("file"), 7)), "content");
    assert.equal(String(await read(at("link"))), "content");
    await assert.rejects(read(at("file"), 6), problem("file-too-large", /larger than 6 bytes/));
  });

  it("is refused where it is none that can be read, with what it is", async () => {
    const cases: [string, RegExp][] = [
      [at("none"), /does not exist/],
      [at("file/none"), /a part of its path is not a folder/],
      [folder, /is a folder/],
      [at("loop"), /leads back to itself/],
      ["/dev/zero", /is a device or socket, not a regular file/],
    ];
    for (const [file, pattern] of cases)
      await assert.rejects(read(file), problem("file-unreadable", pattern));
  });

  it("is refused at once where it is a pipe, or a socket", async () => {
    execFileSync("mkfifo", [at("pipe")]);
    await assert.rejects(read(at("pipe")), problem("file-unreadable", /is a pipe, not a regular file/));
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(at("socket"), resolve));
    try {
      await assert.rejects(read(at("socket")), problem("file-unreadable", /socket or a device/));
    } finally {
      server.close();
    }
  });
});
