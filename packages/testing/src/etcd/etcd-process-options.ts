import { invalidArgument, requireOptions } from "@sd/core";
import type { EtcdTls } from "./tls-files.js";

export interface EtcdProcessOptions {
  /** The etcd binary. Default: the variable `SD_ETCD_BIN`, else `etcd` in the `PATH`. */
  readonly binary?: string;
  /** Flags of etcd, after ours: of a flag given twice, the last one counts. */
  readonly args?: readonly string[];
  /** The client port. Default: a free one. */
  readonly port?: number;
  /** TLS for clients. Default: none. */
  readonly tls?: EtcdTls;
  /** How long it may take to serve. Default 20000. */
  readonly startTimeoutMs?: number;
}

/** @throws SdError `SD_INVALID_ARGUMENT` */
export function checkOptions(options: EtcdProcessOptions): void {
  requireOptions("the options of an etcd", options);
  const { args, port, startTimeoutMs } = options;
  if (args !== undefined && !(Array.isArray(args) && args.every((each) => typeof each === "string"))) {
    throw invalidArgument("args", "an array of strings", args);
  }
  if (port !== undefined && !(Number.isInteger(port) && port >= 1 && port <= 65_535)) {
    throw invalidArgument("port", "a whole number from 1 to 65535, or left out for a free one", port);
  }
  checkTimeout(startTimeoutMs);
}

/** @throws SdError `SD_INVALID_ARGUMENT` */
export function checkTimeout(startTimeoutMs: number | undefined): void {
  if (startTimeoutMs === undefined || startTimeoutMs >= 0) return;
  throw invalidArgument("startTimeoutMs", "a number from 0", startTimeoutMs);
}
