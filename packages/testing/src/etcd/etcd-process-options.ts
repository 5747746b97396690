import { invalidArgument, requireMethods, requireOptions } from "@sd/core";
import { requireWait, requireWhole } from "../check/arguments.js";
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
  const { args, port, tls, startTimeoutMs } = options;
  if (args !== undefined && !(Array.isArray(args) && args.every((each) => typeof each === "string"))) {
    throw invalidArgument("args", "an array of strings", args);
  }
  if (port !== undefined) requireWhole("port", port, 1, 65_535);
  if (tls !== undefined) {
    requireOptions("tls", tls);
    requireMethods("tls.authority", tls.authority, ["server", "client"], "a CertificateAuthority");
  }
  checkTimeout(startTimeoutMs);
}

/** @throws SdError `SD_INVALID_ARGUMENT` */
export function checkTimeout(startTimeoutMs: number | undefined): void {
  requireWait("startTimeoutMs", startTimeoutMs);
}
