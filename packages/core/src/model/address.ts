import { isIPv6 } from "node:net";
import { invalidArgument } from "../kit/errors.js";

/** Where a process can be reached. */
export interface Endpoint {
  /** A name, an IPv4 address, or an IPv6 address without brackets. */
  readonly host: string;
  /** 1 to 65535. */
  readonly port: number;
}

const shape = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/;
/** Letters, digits, hyphens and (as in Docker and SRV names) underscores, in labels of at most 63. */
const name = /^(?=.{1,253}$)[A-Za-z0-9_][A-Za-z0-9_-]{0,62}(?:\.[A-Za-z0-9_-]{1,63})*\.?$/;

/**
 * Reads `host:port`, with an IPv6 host in brackets: `[::1]:8000`.
 *
 * @throws SdError `SD_INVALID_ARGUMENT` for anything else.
 */
export function parseAddress(address: unknown): Endpoint {
  const match = typeof address === "string" ? shape.exec(address) : null;
  const port = Number(match?.[3]);
  const [, bracketed, plain] = match ?? [];
  const host = bracketed !== undefined && isIPv6(bracketed) ? bracketed : plain;
  if (host === undefined || !(host === bracketed || name.test(host)) || port < 1 || port > 65_535) {
    throw invalidArgument(
      "address",
      "host:port with a port from 1 to 65535, such as localhost:8000",
      address,
    );
  }
  return { host, port };
}
