import { isIPv6 } from "node:net";
import { invalidArgument, wrongType } from "../../kit/errors.js";

/** The address of one etcd member. */
export interface MemberAddress {
  /** As configured. */
  readonly endpoint: string;
  /** As etcd3 takes it: `http://host:port` or `https://host:port`. */
  readonly url: string;
  readonly secure: boolean;
}

const DEFAULT_PORT = 2379;
const FORM = "http://host:port or https://host:port";
const PARTS = /^(?:([a-z][a-z0-9+.-]*):\/\/)?(\[[^\]/?#@]*\]|[a-z0-9._-]+)(?::(\d{1,6}))?\/?$/i;

/**
 * Reads what the user configured as `endpoints`; duplicates collapse, the order is kept.
 *
 * @param bareIsSecure whether `host:port` without a scheme means https.
 * @throws SdError `SD_INVALID_ARGUMENT`
 */
export function parseEndpoints(given: unknown, bareIsSecure: boolean): readonly MemberAddress[] {
  const list: unknown[] = typeof given === "string" ? [given] : Array.isArray(given) ? given : [];
  if (list.length === 0) {
    const refuse = Array.isArray(given) ? invalidArgument : wrongType;
    throw refuse("endpoints", `${FORM}, or a non-empty array of such`, given);
  }
  const byUrl = new Map<string, MemberAddress>();
  for (const [index, endpoint] of list.entries()) {
    const name = typeof given === "string" ? "endpoints" : `endpoints[${index}]`;
    const address = parseEndpoint(name, endpoint, bareIsSecure);
    if (!byUrl.has(address.url)) byUrl.set(address.url, address);
  }
  const addresses = [...byUrl.values()];
  const odd = addresses.find(({ secure }) => secure !== addresses[0]?.secure);
  if (odd) {
    throw invalidArgument("endpoints", "all http or all https", [addresses[0]?.endpoint, odd.endpoint]);
  }
  return addresses;
}

function parseEndpoint(name: string, endpoint: unknown, bareIsSecure: boolean): MemberAddress {
  if (typeof endpoint !== "string") throw wrongType(name, FORM, endpoint);
  // Never shown: what stands before the @ may be a password.
  if (endpoint.includes("@")) {
    throw invalidArgument(name, `${FORM} (user and password belong in the option auth)`, "an address with @");
  }
  if (/[?#]/.test(endpoint)) {
    throw invalidArgument(name, `${FORM}, without path or query`, "an address with a query");
  }
  const match = PARTS.exec(endpoint.trim());
  if (!match) throw invalidArgument(name, `${FORM}, without path or query, IPv6 in brackets`, endpoint);
  const [given = "", scheme, host = "", port] = match;
  const protocol = (scheme ?? (bareIsSecure ? "https" : "http")).toLowerCase();
  if (protocol !== "http" && protocol !== "https") throw invalidArgument(name, FORM, endpoint);
  if (host.startsWith("[") && !isIPv6(host.slice(1, -1))) {
    throw invalidArgument(name, `${FORM} with an IPv6 address in the brackets`, endpoint);
  }
  const portNumber = port === undefined ? DEFAULT_PORT : Number(port);
  if (portNumber < 1 || portNumber > 65_535) {
    throw invalidArgument(name, `${FORM} with a port from 1 to 65535`, endpoint);
  }
  return {
    endpoint: given,
    url: `${protocol}://${host.toLowerCase()}:${portNumber}`,
    secure: protocol === "https",
  };
}
