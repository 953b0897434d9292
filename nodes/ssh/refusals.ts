/**
 * What sshd, PAM, login shells and sudo say when they refuse a user who has the right key, and what each means.
 * It never decides what follows from that.
 */

/** Refusals of the account, before or after sshd lets the user in. */
export type AccountRefusal = "expired" | "password" | "locked" | "shell" | "user" | "sessions" | "closed";
/** Refusals of sudo. */
export type SudoRefusal = "tty" | "password" | "rights" | "missing" | "broken";
export type Refusal =
  | { readonly by: "account"; readonly why: AccountRefusal }
  | { readonly by: "sudo"; readonly why: SudoRefusal };

const account = (why: AccountRefusal): Refusal => ({ by: "account", why });
const sudo = (why: SudoRefusal): Refusal => ({ by: "sudo", why });

/** The first that fits counts: sudo repeats what PAM says. The sources are those of the programs named. */
const table: readonly (readonly [words: RegExp, refusal: Refusal])[] = [
  // pam_unix: "You are required to change your password immediately (…)"; OpenSSH, session.c: "Your password has
  // expired", "Password change required but no TTY available"; passwd(1) and chpasswd's PAM: the prompts.
  [/required to change your password/i, account("password")],
  [/your password has expired|password change required/i, account("password")],
  [/^\(?current\)? .*password: *$|^new password: *$/im, account("password")],
  // sudo, auth/pam.c, for PAM_NEW_AUTHTOK_REQD and PAM_AUTHTOK_EXPIRED.
  [/sudo: account or password is expired|sudo: password expired/i, account("password")],
  // pam_unix, and sudo for PAM_ACCT_EXPIRED.
  [/your account has expired|sudo: account expired/i, account("expired")],
  // sudo for PAM_AUTH_ERR; pam_faillock: "The account is locked due to …"; pam_tally2: "Account locked due to …".
  [/sudo: account validation failure/i, account("locked")],
  [/account (?:is )?(?:temporarily )?locked/i, account("locked")],
  [/sudo: pam account management error/i, account("locked")],
  // nologin(8) of shadow and of util-linux.
  [/this account is (?:currently )?not available/i, account("shell")],
  // cloud-init's forced command for users that it disables.
  [/please login as the user .* rather than the user/i, account("user")],
  // pam_limits.
  [/too many logins for/i, account("sessions")],
  // pam_nologin with the words of systemd-user-sessions.
  [/unprivileged users are not permitted to log ?in/i, account("closed")],
  // sudoers: `requiretty`.
  [/you must have a tty to run sudo/i, sudo("tty")],
  // sudo without NOPASSWD, by age: 1.8, 1.9, sudo-rs.
  [/sudo: .*(?:password is required|no tty present|terminal is required)/i, sudo("password")],
  [/sudo: interactive authentication is required/i, sudo("password")],
  [/is not in the sudoers file|is not allowed to (?:run|execute)|may not run sudo/i, sudo("rights")],
  [/sudo: (?:command )?not found|sudo: no such file/i, sudo("missing")],
  // A sudo that cannot work for anybody: its owner, its mode, its file system, its sudoers.
  [/^sudo: |no valid sudoers sources|sudoers:\d+:/im, sudo("broken")],
];

/** What a refusal says, if the text is one. */
export function refusalIn(text: string): Refusal | undefined {
  return table.find(([words]) => words.test(text))?.[1];
}
