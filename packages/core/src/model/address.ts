import { isIPv6 } from "node:net";
import { invalidArgument } from "../kit/errors.js";

/** Where a process can be reached. */
export interface Endpoint {
  /** A name, an IPv4 address, or an IPv6 address without brackets. */
  readonly host: string;
  /** 1 to 65535. */
  readonly port: number;
}

/**
 * An IPv6 address in brackets, or a name: letters, digits, hyphens and (as in Docker and SRV names)
 * underscores, in labels of at most 63.
 */
const shape = /^(?:\[([^\]]+)\]|([A-Za-z0-9_][A-Za-z0-9_-]{0,62}(?:\.[A-Za-z0-9_-]{1,63})*\.?)):(\d{1,5})$/;
const MAX_NAME = 253;

/**
 * Reads `host:port`, with an IPv6 host in brackets: `[::1]:8000`.
 *
 * @throws SdError `SD_INVALID_ARGUMENT` for anything else.
 */
export function parseAddress(address: unknown): Endpoint {
  if (address !== last.address) last = { address, endpoint: parse(address) };
  return last.endpoint;
}

/** An address is parsed to check it, and a moment later to take it apart. */
let last: { readonly address: unknown; readonly endpoint: Endpoint } = {
  address: "localhost:1",
  endpoint: Object.freeze({ host: "localhost", port: 1 }),
};

function parse(address: unknown): Endpoint {
  const match = typeof address === "string" ? shape.exec(address) : null;
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2];
  const isHost = host !== undefined && (match?.[1] === undefined ? host.length <= MAX_NAME : isIPv6(host));
  if (!isHost || port < 1 || port > 65_535) {
    throw invalidArgument(
      "address",
      "host:port with a port from 1 to 65535, such as localhost:8000",
      address,
    );
  }
  return Object.freeze({ host, port });
}
