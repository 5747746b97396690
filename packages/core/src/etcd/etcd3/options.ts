import { X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import type { ChannelOptions } from "@grpc/grpc-js";
import { type Clock, systemClock } from "../../kit/clock.js";
import { invalidArgument, requireOptions, wrongType } from "../../kit/errors.js";
import { type Random, systemRandom } from "../../kit/random.js";
import { type MemberAddress, parseEndpoints } from "./endpoints.js";

/** Certificates for TLS, in PEM, under etcd3's names. */
export interface Etcd3Credentials {
  /** Whom to trust. Absent: the authorities that Node comes with. */
  readonly rootCertificate?: Buffer | undefined;
  /** Our key, if etcd asks for client certificates; only together with `certChain`. */
  readonly privateKey?: Buffer | undefined;
  readonly certChain?: Buffer | undefined;
}

/** How to reach etcd. */
export interface Etcd3TransportOptions {
  /**
   * `http://host:port`, `https://host:port` or `host:port` (https if `credentials` are given, else http).
   * The port defaults to 2379. IPv6 addresses stand in brackets.
   */
  readonly endpoints: string | readonly string[];
  /**
   * Certificates, or a function that reads them: it is called for every new connection, so that rotated
   * certificates come into use without a restart.
   */
  readonly credentials?: Etcd3Credentials | (() => Etcd3Credentials) | undefined;
  /** Name and password of etcd's own authentication. Never part of an error or a log. */
  readonly auth?: { readonly username: string; readonly password: string } | undefined;
  /** Options of grpc-js; they win over those that we set. */
  readonly grpcOptions?: ChannelOptions | undefined;
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
  /**
   * For TCP, TLS and HTTP/2 together. Default 10000; three times as long for a peer that has begun to answer.
   * After a third of it, or 1.5 s if the member was near, another attempt begins beside the first, and other
   * members are asked after 250 ms.
   */
  readonly connectTimeoutMs?: number | undefined;
  /** For calls that set none, from when they are sent. Default 5000, and the round trip as measured. */
  readonly callTimeoutMs?: number | undefined;
  /** The biggest answer that is accepted. Default 64 MiB. */
  readonly maxReceiveBytes?: number | undefined;
}

/** The options, checked and complete. */
export interface Settings {
  readonly addresses: readonly MemberAddress[];
  readonly credentials: () => Etcd3Credentials | undefined;
  readonly auth: { readonly username: string; readonly password: string } | undefined;
  readonly channelOptions: ChannelOptions;
  readonly clock: Clock;
  readonly random: Random;
  readonly connectTimeoutMs: number;
  readonly callTimeoutMs: number;
}

/**
 * Checks the options and fills in the defaults.
 *
 * @throws SdError `SD_INVALID_ARGUMENT`
 */
export function settle(options: Etcd3TransportOptions): Settings {
  const { credentials, auth } = options;
  const addresses = parseEndpoints(options.endpoints, credentials !== undefined);
  const plain = addresses.find(({ secure }) => !secure);
  if (credentials !== undefined && plain) {
    // etcd3 would use TLS all the same: https://github.com/microsoft/etcd3, connection-pool.ts
    throw invalidArgument("endpoints", "https if credentials are given", plain.endpoint);
  }
  if (credentials !== undefined && typeof credentials !== "function") checkCredentials(credentials);
  if (auth !== undefined) {
    checkSecret("auth.username", auth?.username);
    checkSecret("auth.password", auth?.password);
  }
  if (options.grpcOptions !== undefined) requireOptions("grpcOptions", options.grpcOptions);
  const maxReceiveBytes = positive("maxReceiveBytes", options.maxReceiveBytes ?? 64 * 1024 * 1024);
  return {
    addresses,
    credentials:
      typeof credentials === "function" ? () => checkCredentials(credentials()) : () => credentials,
    auth: auth && { username: auth.username, password: auth.password },
    channelOptions: { ...channelOptions(maxReceiveBytes), ...options.grpcOptions },
    clock: options.clock ?? systemClock,
    random: options.random ?? systemRandom,
    connectTimeoutMs: positive("connectTimeoutMs", options.connectTimeoutMs ?? 10_000),
    callTimeoutMs: positive("callTimeoutMs", options.callTimeoutMs ?? 5_000),
  };
}

function channelOptions(maxReceiveBytes: number): ChannelOptions {
  return {
    // One connection per lane, shared with nobody.
    "grpc.use_local_subchannel_pool": 1,
    "grpc.max_receive_message_length": maxReceiveBytes,
    // A name server must not configure us (by TXT records), nor may anyone but us repeat a call.
    "grpc.service_config_disable_resolution": 1,
    "grpc.enable_retries": 0,
    // Nor keep what might be repeated: on a stream it copies the list of all that wait, for each that goes out.
    "grpc.per_rpc_retry_buffer_size": 0,
    // We replace a failed channel and wait by our own backoff. Short: so long may one that is closed try once more.
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 500,
    "grpc.enable_channelz": 0,
  };
}

function positive(name: string, value: unknown): number {
  if (typeof value === "number" && Number.isFinite(value) && value > 0) return value;
  throw invalidArgument(name, "a number above 0", value);
}

function checkSecret(name: string, value: unknown): void {
  if (typeof value === "string" && value !== "") return;
  // Only the type is shown: the value is a secret.
  const refuse = value === "" ? invalidArgument : wrongType;
  throw refuse(name, "a non-empty string", value);
}

/**
 * Lets OpenSSL try the certificates: its complaints name no secret, and come before any I/O.
 *
 * Nothing at all is refused: trusting Node's authorities is to be asked for, by an object without a root.
 */
function checkCredentials(credentials: Etcd3Credentials): Etcd3Credentials {
  requireOptions("credentials", credentials);
  const { rootCertificate, privateKey, certChain } = credentials;
  for (const [name, value] of Object.entries({ rootCertificate, privateKey, certChain })) {
    if (value !== undefined && !Buffer.isBuffer(value)) {
      throw wrongType(`credentials.${name}`, "a Buffer of PEM", value);
    }
  }
  if ((privateKey === undefined) !== (certChain === undefined)) {
    throw invalidArgument(
      "credentials",
      "without privateKey and certChain, or with both",
      privateKey ? "only privateKey" : "only certChain",
    );
  }
  try {
    // Of authorities OpenSSL takes what it can read, be it none.
    if (rootCertificate) new X509Certificate(rootCertificate);
    createSecureContext({ ca: rootCertificate, key: privateKey, cert: certChain });
  } catch (error) {
    throw invalidArgument("credentials", "PEM that OpenSSL can read", (error as Error).message);
  }
  return credentials;
}
