import { request } from "node:https";

export interface HttpsOptions {
  /** PEM of the authority that the server's certificate has to be of. */
  readonly ca: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** Seconds that a server has to say something: it may be on a busy machine. */
const patience = 30;

/** One HTTPS request to a server of the lab; answers of any status are given back. */
export function https(
  url: string,
  options: HttpsOptions,
): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      url,
      {
        ca: options.ca,
        method: options.method ?? "GET",
        headers: options.headers ?? {},
        agent: false,
        timeout: patience * 1000,
      },
      (response) => {
        let body = "";
        response.setEncoding("utf8").on("data", (chunk: string) => (body += chunk));
        response.on("end", () => resolve({ status: response.statusCode ?? 0, body })).on("error", reject);
      },
    );
    outgoing
      .on("timeout", () => outgoing.destroy(new Error(`${url} did not answer within ${patience} s`)))
      .on("error", reject);
    outgoing.end(options.body);
  });
}

/** The header of basic authentication. */
export function basicAuthorization(user: string, password: string): { readonly Authorization: string } {
  return { Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}` };
}
