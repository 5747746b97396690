import { get as getPlain } from "node:http";
import { get as getOverTls } from "node:https";
import type { Certificate } from "../tls/certificate-authority.js";

/**
 * Whether an etcd member says that it can serve: it has a leader and can write. Never rejects.
 *
 * Over TLS it shows `client`, and takes any certificate of etcd's: a bad one is what a test may want.
 */
export function isHealthy(endpoint: string, timeoutMs = 1_000, client?: Certificate): Promise<boolean> {
  const get = endpoint.startsWith("https:") ? getOverTls : getPlain;
  return new Promise((resolve) => {
    const options = { agent: false, timeout: timeoutMs, rejectUnauthorized: false, ...client };
    const request = get(`${endpoint}/health`, options, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        body += chunk;
      });
      response.on("end", () => resolve(response.statusCode === 200 && /"health"\s*:\s*"?true/.test(body)));
      response.on("error", () => resolve(false));
    });
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve(false));
    request.on("close", () => resolve(false));
  });
}
