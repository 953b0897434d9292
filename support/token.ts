/**
 * The expiry of tokens.
 * It never verifies a token, and never logs one.
 */
import * as z from "zod";

/** Seconds since 1970, up to the largest Date. */
export const secondsSchema = z.number().int().positive().max(8.64e12);
const claimsSchema = z.object({ exp: secondsSchema });

/**
 * When a JSON Web Token expires. Tokens of a Supervisor are such, and passwords of robots of Harbor 1.8 to 2.1. The
 * signature is not checked, since only the issuer has the key.
 *
 * @returns `undefined` for any other text.
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
