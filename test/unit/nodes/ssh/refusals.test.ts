import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { runOnNode } from "../../../../nodes/operations/node";
import { refusalIn } from "../../../../nodes/ssh/refusals";
import type { Session } from "../../../../nodes/ssh/session";
import { problem } from "../../../integration/net/server";

/** As sshd, PAM, login shells and sudo print it, and the words of the remedy. */
const told: readonly (readonly [text: string, by: "account" | "sudo", why: string, remedy: RegExp])[] = [
  ["sudo: Account or password is expired, reset your password and try again", "account", "password", /chage/],
  ["sudo: Password expired, contact your system administrator", "account", "password", /chage/],
  [
    "You are required to change your password immediately (password expired).\nPassword change required but no TTY available.",
    ...(["account", "password", /chage --maxdays -1 u/] as const),
  ],
  ["WARNING: Your password has expired.\n(current) UNIX password: ", "account", "password", /password/],
  [
    "Your account has expired; please contact your system administrator.",
    ...(["account", "expired", /chage --expiredate/] as const),
  ],
  [
    'sudo: Account expired or PAM config lacks an "account" section for sudo, contact your system administrator',
    ...(["account", "expired", /chage --expiredate/] as const),
  ],
  ["sudo: account validation failure, is your account locked?", "account", "locked", /passwd --unlock u/],
  [
    "The account is locked due to 3 failed logins.\n(9 minutes left to unlock)",
    "account",
    "locked",
    /faillock/,
  ],
  ["Account locked due to 4 failed logins", "account", "locked", /faillock/],
  ["This account is currently not available.", "account", "shell", /usermod --shell/],
  ['Please login as the user "photon" rather than the user "root".', "account", "user", /set the user/],
  ["There were too many logins for 'u'.", "account", "sessions", /maxlogins/],
  [
    '"System is booting up. Unprivileged users are not permitted to log in yet. Please come back later."',
    ...(["account", "closed", /starting or going down/] as const),
  ],
  ["sudo: sorry, you must have a tty to run sudo", "sudo", "tty", /requiretty/],
  ["sudo: a password is required", "sudo", "password", /NOPASSWD/],
  ["sudo: no tty present and no askpass program specified", "sudo", "password", /NOPASSWD/],
  [
    "sudo: a terminal is required to read the password; either use the -S option",
    ...(["sudo", "password", /NOPASSWD/] as const),
  ],
  ["sudo: interactive authentication is required", "sudo", "password", /NOPASSWD/],
  ["u is not in the sudoers file.  This incident will be reported.", "sudo", "rights", /sudoers/],
  ["Sorry, user u is not allowed to execute '/usr/bin/sh' as root on n.", "sudo", "rights", /sudoers/],
  ["Sorry, user u may not run sudo on n.", "sudo", "rights", /sudoers/],
  ["bash: line 1: sudo: command not found", "sudo", "missing", /install it/],
  ["sh: 1: sudo: not found", "sudo", "missing", /install it/],
  [
    "sudo: /usr/bin/sudo must be owned by uid 0 and have the setuid bit set",
    "sudo",
    "broken",
    /sudo -n true/,
  ],
  ["sudo: /etc/sudoers is world writable\nsudo: no valid sudoers sources found", "sudo", "broken", /by hand/],
  [
    'sudo: The "no new privileges" flag is set, which prevents sudo from running as root.',
    "sudo",
    "broken",
    /./,
  ],
  ["sudo: PAM authentication error: Critical error - immediate abort", "sudo", "broken", /./],
];

describe("a node that lets the user in and refuses to work for it", () => {
  it("is told as what it is, by its own words, on stdout too", async () => {
    for (const [text, by, why, remedy] of told) {
      assert.deepEqual(refusalIn(text), { by, why }, text);
      for (const output of [
        { stdout: text, stderr: "" },
        { stdout: "", stderr: text },
      ]) {
        const exec = () => Promise.resolve({ code: 1, ...output });
        const session = { exec, user: "u" } as unknown as Session;
        await assert.rejects(
          runOnNode(session, { op: "status", machineId: "", nodeName: "n", owner: "o" }),
          problem(by === "account" ? "ssh-account" : "node-sudo", remedy, /node n: .*\(code 1\): \S/),
          text,
        );
      }
    }
  });

  it("is not seen in other words", async () => {
    const others = [
      "",
      "Last login: Thu Jan  1 10:00:00 2026",
      "Your password will expire in 7 days",
      "sh: 1: cannot fork",
      "bash: /bin/sh: Permission denied",
    ];
    for (const text of others) {
      assert.equal(refusalIn(text), undefined, text);
      const exec = () => Promise.resolve({ code: 1, stdout: "", stderr: text });
      await assert.rejects(
        runOnNode({ exec, user: "u" } as unknown as Session, {
          ...{ op: "status", machineId: "", nodeName: "n", owner: "o" },
        }),
        problem("node-no-report"),
      );
    }
  });
});
