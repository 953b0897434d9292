/** Sends the Kubernetes client's requests by Node's own HTTPS, so that their failures keep the socket's error codes. */
import * as http from "node:http";
import * as https from "node:https";
import { buffer } from "node:stream/consumers";
import type { HttpLibrary, RequestContext, ResponseContext } from "@kubernetes/client-node";
import { ConnectionFailure, connectionFailure } from "../net/https";

/**
 * The client's own library (node-fetch) takes a response on a reused connection for one that was cut off.
 *
 * @param seconds - What the signal of each request allows, for messages.
 */
export function httpLibrary(client: typeof import("./kubernetesClient.js"), seconds: number): HttpLibrary {
  const send = async (request: RequestContext): Promise<ResponseContext> => {
    try {
      const { status, headers, body } = await exchange(request);
      return new client.ResponseContext(status, headers, new client.SelfDecodingBody(Promise.resolve(body)));
    } catch (error) {
      throw request.getSignal()?.aborted === true
        ? new ConnectionFailure("slow", `it does not answer within ${seconds} s`)
        : connectionFailure(error);
    }
  };
  return client.wrapHttpLibrary({ send });
}

/** For the name's resolution and the TCP handshake: a server behind a firewall that drops packets answers neither. */
const connectSeconds = 10;

interface Answer {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: Buffer;
}

async function exchange(request: RequestContext): Promise<Answer> {
  const url = new URL(request.getUrl());
  const signal = request.getSignal();
  const sentBody: unknown = request.getBody();
  // Node gives the length of a body that it does not expect, as with DELETE, only if it is told.
  const length =
    typeof sentBody === "string" ? { "content-length": String(Buffer.byteLength(sentBody)) } : {};
  const options: https.RequestOptions = {
    method: request.getHttpMethod(),
    headers: { ...request.getHeaders(), ...length },
    agent: request.getAgent(),
    ...(signal ? { signal } : {}),
  };
  const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
    const sent = (url.protocol === "https:" ? https : http).request(url, options, resolve);
    sent.on("error", reject);
    sent.on("socket", (socket) => {
      if (!socket.connecting) return;
      const late = new ConnectionFailure("slow", `it takes no connection within ${connectSeconds} s`);
      const timer = setTimeout(() => sent.destroy(late), connectSeconds * 1000);
      for (const event of ["connect", "close"]) socket.once(event, () => clearTimeout(timer));
    });
    sent.end(sentBody);
  });
  const body = await buffer(response);
  const headers = Object.entries(response.headers).map(([name, value]) => [name, String(value)]);
  return {
    status: response.statusCode ?? 0,
    headers: Object.fromEntries(headers) as Record<string, string>,
    body,
  };
}
