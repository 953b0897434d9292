/** Harbor's robot accounts: the credentials that expire. */
import * as z from "zod";
import { ConnectionFailure, basicCredential, httpsRequest, type Limits, type Trust } from "../net/https";
import { type Problem, UserError } from "../support/errors";
import { printable } from "../support/text";
import { secondsSchema, tokenExpiry } from "../support/token";
import { parseRegistryHost } from "./host";
import type { RegistryCredential, RegistryHost } from "./types";
import { registryProblem } from "./problems";

const day = 24 * 60 * 60 * 1000;
const warningDays = 30;
const defaultLimits: Limits = { seconds: 5, bytes: 1024 * 1024 };

/** What is wrong with a robot that expired; `undefined` where it did not. */
export function expiryProblem(
  username: string,
  expires: Date | undefined,
  { subject, now = new Date() }: { subject: string; now?: Date },
): Problem | undefined {
  if (expires === undefined || expires > now) return undefined;
  return registryProblem("robot-expired", {
    subject,
    seen: `the robot account "${printable(username, 100)}" expired on ${dateOf(expires)}`,
  });
}

const dateOf = (date: Date): string => date.toISOString().slice(0, 10);

export interface RobotQuestion {
  readonly host: RegistryHost;
  /** PEM of the CAs that the registry's certificate must verify with; none for a public one. */
  readonly ca: readonly string[];
  readonly credential: RegistryCredential;
  /** The setting that gives the credential. */
  readonly subject: string;
  readonly limits?: Limits;
  readonly now?: Date;
}

/** Both are left out where the account does not expire, or where nothing tells. */
export interface RobotStatus {
  readonly expires?: Date;
  /** Set from 30 days before the expiry. */
  readonly warning?: string;
}

/**
 * Asks Harbor when a robot account expires. Most robots lack the right to list robots; the result is then empty. The
 * login check reports a robot that Harbor refuses.
 *
 * @throws UserError: `robot-expired`, `robot-disabled`.
 */
export async function robotStatus(question: RobotQuestion): Promise<RobotStatus> {
  const { credential, subject, now = new Date() } = question;
  const { username, password } = credential;
  const token = tokenExpiry(password);
  const robot = token ? undefined : await findRobot(question);
  const expires = token ?? (robot && robot.expires_at > 0 ? new Date(robot.expires_at * 1000) : undefined);
  const expired = expiryProblem(username, expires, { subject, now });
  if (expired) throw new UserError(expired);
  if (robot?.disable) {
    throw registryProblem.error("robot-disabled", {
      subject,
      seen: `the robot account "${printable(username, 100)}" is disabled`,
    });
  }
  if (!expires) return {};
  const days = Math.floor((expires.getTime() - now.getTime()) / day);
  if (days >= warningDays) return { expires };
  const left = days === 0 ? "within a day" : `in ${days} ${days === 1 ? "day" : "days"}`;
  return {
    expires,
    warning: `the robot account ${printable(username, 100)} expires on ${dateOf(expires)}, ${left}`,
  };
}

/** The part of `Robot` in Harbor's `api/v2.0/swagger.yaml` that matters here. */
const robotsSchema = z.array(
  z.object({
    /** With the prefix, as users log in with it. */
    name: z.string(),
    disable: z.boolean().catch(false),
    /** Seconds since 1970; -1 for never. */
    expires_at: secondsSchema.catch(-1),
  }),
);

/**
 * A robot's name as Harbor makes it: `robot$name`, or of a project `robot$project+name`. What is in front of the `$` is
 * its administrator's to choose; where no `$` is, nothing tells a robot from a user, whose name never has one.
 */
const robotName = /\$(?:([^$+]+)\+)?([a-z0-9]+(?:[._-][a-z0-9]+)*)$/;

async function findRobot(question: RobotQuestion): Promise<z.infer<typeof robotsSchema>[number] | undefined> {
  const { host, ca, credential, subject, limits = defaultLimits } = question;
  const { username, password } = credential;
  const [, project, name] = robotName.exec(username) ?? [];
  if (name === undefined) return undefined;
  // Harbor unquotes `q` twice, which makes a space of a plus sign, so that the name's last part must do.
  const query = new URLSearchParams({ q: `name=~${name}`, page_size: "100" }).toString();
  const path =
    project === undefined ? "/api/v2.0/robots" : `/api/v2.0/projects/${encodeURIComponent(project)}/robots`;
  const trust: Trust = ca.length > 0 ? { ca } : "public-roots";
  try {
    const { status, body } = await httpsRequest(parseRegistryHost(host, { subject }), {
      method: "GET",
      path: `${path}?${query}`,
      headers: {
        accept: "application/json",
        authorization: `Basic ${basicCredential(username, password)}`,
        "x-is-resource-name": "true",
      },
      trust,
      limits,
    });
    if (status !== 200) return undefined;
    const robots = robotsSchema.safeParse(JSON.parse(body.toString("utf8")));
    return robots.data?.find((robot) => robot.name === username);
  } catch (error) {
    if (error instanceof ConnectionFailure || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
