import { z } from "zod";

/** Seconds since 1970, as far as a Date goes. */
export const secondsSchema = z.number().int().positive().max(8.64e12);
const claimsSchema = z.object({ exp: secondsSchema });

/**
 * When a JSON Web Token ends, as logins of a Supervisor and passwords of robots of Harbor 1.8 to 2.1 are. The signature
 * is for those to check who have the key.
 *
 * @returns `undefined` for every other text.
 */
export function tokenExpiry(token: string): Date | undefined {
  const claims = /^[\w-]+\.([\w-]+)\.[\w-]*$/.exec(token)?.[1];
  if (claims === undefined) return undefined;
  try {
    const { exp } = claimsSchema.parse(JSON.parse(Buffer.from(claims, "base64url").toString("utf8")));
    return new Date(exp * 1000);
  } catch {
    return undefined;
  }
}
