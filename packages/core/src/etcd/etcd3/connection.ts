import { type ChannelOptions, type Client, connectivityState, propagate } from "@grpc/grpc-js";
import type { IOptions } from "etcd3";
import { afterTwoRounds } from "../../kit/clock.js";
import type { SdError } from "../../kit/errors.js";
import type { MemberAddress } from "./endpoints.js";
import { credentialsError, networkError, statusError } from "./failures.js";
import type { Etcd3Credentials, Settings } from "./options.js";
import { RawEtcd3 } from "./raw-etcd3.js";
import { Sockets } from "./sockets.js";

/** The longest round trip that is reckoned with: what takes longer was most likely held up, not far away. */
const MAX_ROUND_TRIP_MS = 5_000;

/** A method that etcd does not have: asking for it has no effect, wherever the question gets. */
const NO_METHOD = "/sd.Connection/Reason";

const identity = (bytes: Buffer): Buffer => bytes;

/** A call of grpc-js: bytes out, bytes in. */
export type Call = ReturnType<ReturnType<Client["getChannel"]>["createCall"]>;

/**
 * One TCP connection to one member, from the first packet to the last. It is never repaired: a lost one
 * is replaced by its lane.
 */
export class Connection {
  readonly endpoint: string;
  /** Since when it can be used, by the clock. */
  openedAt = Number.NEGATIVE_INFINITY;
  /** When the last answer came, by the clock; `undefined` before the first. */
  answeredAt: number | undefined;
  /** At most how long a message takes there and back, in milliseconds: the fastest exchange so far. */
  roundTripMs = MAX_ROUND_TRIP_MS;
  /** Whether we gave it up: a call was not answered in time, or it was idle for too long. It may be as good as ever. */
  isGivenUp = false;
  /** How many streams it carries. */
  streams = 0;
  readonly #settings: Settings;
  readonly #sockets: Sockets;
  readonly #etcd: RawEtcd3;
  readonly #onClose: (connection: Connection) => void;
  #client: Client | undefined;
  #closing: Promise<void> | undefined;

  /**
   * @param onClose called once, when the connection is lost or closed, whoever did it.
   * @throws SdError `SD_UNAVAILABLE` of kind `tls` if the certificates cannot be read.
   */
  constructor(address: MemberAddress, settings: Settings, onClose: (connection: Connection) => void) {
    this.endpoint = address.endpoint;
    this.#settings = settings;
    this.#onClose = onClose;
    this.#sockets = new Sockets(settings.clock, longestBackoffMs(settings.channelOptions) + 100);
    this.#etcd = openEtcd3(address, settings);
  }

  get isClosed(): boolean {
    return this.#closing !== undefined;
  }

  /** Whether a call goes out at once. On a channel that has left READY, grpc-js would connect again. */
  get isReady(): boolean {
    return (
      !this.isClosed && this.#client?.getChannel().getConnectivityState(false) === connectivityState.READY
    );
  }

  /** Whether the peer has begun to answer: while connecting, the only sign that it does not just accept. */
  get hasHeard(): boolean {
    return this.#sockets.hasHeard;
  }

  /**
   * Begins a call, without what grpc-js's client puts around it: a stack trace, an emitter and interceptors,
   * of which we use nothing. It has no deadline of gRPC's, which counts by the wall clock.
   */
  call(path: string): Call {
    if (!this.#client) throw networkError("not connected", this.endpoint);
    const never = Number.POSITIVE_INFINITY;
    return this.#client.getChannel().createCall(path, never, undefined, null, propagate.DEFAULTS);
  }

  /**
   * Connects: resolves when HTTP/2 is agreed, so that a call can go out at once.
   *
   * Neither grpc-js nor this has a deadline for that. A peer that accepts TCP and stays silent leaves it
   * connecting for ever: https://github.com/grpc/grpc-node/issues/2785
   */
  async open(): Promise<void> {
    const { clock } = this.#settings;
    const start = clock.now();
    try {
      const client = await this.#etcd.grpcClient();
      if (this.isClosed) throw networkError("connection closed while connecting", this.endpoint);
      this.#client = client;
      await new Promise<void>((resolve, reject) => this.#whenReady(client, resolve, reject));
      this.openedAt = clock.now();
      this.exchanged(this.openedAt - start);
    } catch (error) {
      void this.close();
      throw error;
    }
  }

  /** An exchange of messages took so long. */
  exchanged(durationMs: number): void {
    this.roundTripMs = Math.min(this.roundTripMs, durationMs);
  }

  /**
   * Closes at once, without a goodbye; calls and streams end with an error. Idempotent.
   * Resolves when the socket is closed.
   */
  close(): Promise<void> {
    if (!this.#closing) {
      const client = this.#client;
      // Not both: etcd3 would first wait for a channel that is still connecting.
      if (client) client.close();
      else this.#etcd.close();
      // grpc-js hands a target that is an IP to its channel by `setImmediate`, to a closed channel too, which
      // then connects for ever: seen with 1.14.7, when closed in the turn of its first call. Closing it once
      // more ends that, unless it comes between the two again.
      this.#closing = this.#sockets.close(() => afterTwoRounds(() => client?.close()));
      this.#onClose(this);
    }
    return this.#closing;
  }

  /**
   * Connects by a call, and cancels it before it is sent. Only to a call does grpc-js tell why it could
   * not connect, and only for a call does it keep the process alive until it knows.
   */
  #whenReady(client: Client, resolve: () => void, reject: (error: SdError) => void): void {
    const channel = client.getChannel();
    const watch = (state: connectivityState, changed: () => void): void =>
      channel.watchConnectivityState(state, Number.POSITIVE_INFINITY, changed);
    this.#sockets.run(() => {
      const call = client.makeUnaryRequest(NO_METHOD, identity, identity, Buffer.alloc(0), (error) =>
        reject(statusError(error ?? UNSTABLE, this.endpoint)),
      );
      const look = (): void => {
        const state = channel.getConnectivityState(false);
        if (state === connectivityState.SHUTDOWN) {
          reject(networkError("connection closed while connecting", this.endpoint));
        } else if (state === connectivityState.READY) {
          this.#sockets.complete();
          resolve();
          call.cancel();
          // grpc-js calls back from the middle of its own change of state: let it finish.
          watch(state, () => queueMicrotask(() => void this.close()));
        } else {
          watch(state, look);
        }
      };
      look();
    });
  }
}

const UNSTABLE = { code: 14, details: "connection is unstable" };

/** With grpc-js's defaults, and its jitter of a fifth. */
function longestBackoffMs(options: ChannelOptions): number {
  const first = options["grpc.initial_reconnect_backoff_ms"] ?? 1_000;
  const last = options["grpc.max_reconnect_backoff_ms"] ?? 120_000;
  return 1.2 * Math.max(first, last);
}

const LOOPBACK = /^(https?:\/\/)?(localhost|127(\.\d{1,3}){3}|\[::1\])(:|\/|$)/;

function openEtcd3({ url, endpoint }: MemberAddress, settings: Settings): RawEtcd3 {
  let credentials: Etcd3Credentials | undefined;
  try {
    credentials = settings.credentials();
  } catch (error) {
    throw credentialsError(error, endpoint);
  }
  return new RawEtcd3({
    hosts: url,
    grpcOptions: {
      // As Go's client, and unlike grpc-js, no way to this machine leads through a proxy of the environment.
      ...(LOOPBACK.test(url) && { "grpc.enable_http_proxy": 0 }),
      ...settings.channelOptions,
    },
    // etcd3 wants a root certificate in its types only; grpc-js takes Node's without.
    ...(credentials && { credentials: credentials as NonNullable<IOptions["credentials"]> }),
  });
}
