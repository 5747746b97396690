import type { ChannelOptions } from "@grpc/grpc-js";
import { publish } from "../../kit/channels.js";
import { Connection } from "./connection.js";
import { Dial } from "./dial.js";
import type { MemberAddress } from "./endpoints.js";
import { closedError, networkError } from "./failures.js";
import type { Settings } from "./options.js";

/**
 * Calls, renewals and watches do not share a connection: a big list or a flood of events delays no renewal,
 * and a member that allows one stream per connection serves all three.
 */
export const laneNames = ["calls", "renewals", "watches"] as const;
export type LaneName = (typeof laneNames)[number];

type LaneState =
  | { readonly status: "idle" }
  | { readonly status: "connecting"; readonly dial: Dial<Connection>; readonly opened: Promise<Connection> }
  | { readonly status: "ready"; readonly connection: Connection }
  | { readonly status: "closed" };

/**
 * A ping finds a dead peer under a running call. Below 5 s, or without calls, etcd answers with GOAWAY. The answer
 * may take a slow link's time. Renewals and watches ask for signs of life by themselves, and of etcd itself: there
 * a ping would only wake the process (22 times a minute, 8 % of the main thread's CPU where it is idle).
 */
const PINGS: ChannelOptions = { "grpc.keepalive_time_ms": 10_000, "grpc.keepalive_timeout_ms": 10_000 };

/**
 * What of the answers to calls may be on its way: with HTTP/2's default of 64 KiB, a page of 4 MiB takes 64 round
 * trips, and as many rounds of the event loop (100,000 keys: 679 instead of 517 ms). A link of 64 KiB/s carries
 * it in 8 s, before the answer to a ping is overdue.
 */
const WINDOW_BYTES = 512 * 1024;

/**
 * An idle connection of renewals or watches is good for so long after the last answer. One that has died in silence
 * costs a stream all the time that it waits for a sign of life, and a new one a round trip.
 */
const IDLE_TRUST_MS = 5_000;

/** What the user sets wins, on every lane. */
export function optionsOf(name: LaneName, channelOptions: ChannelOptions): ChannelOptions {
  if (name !== "calls") return channelOptions;
  return { ...PINGS, "grpc-node.flow_control_window": WINDOW_BYTES, ...channelOptions };
}

/** The way to one member for one purpose: at most one connection at a time, made when it is wanted. */
export class Lane {
  readonly #address: MemberAddress;
  readonly #name: LaneName;
  readonly #settings: Settings;
  readonly #onLost: (connection: Connection) => void;
  #state: LaneState = { status: "idle" };
  /** As the last connection measured it. */
  #roundTripMs: number | undefined;

  /** @param onLost called when a connection ends that had been ready. */
  constructor(
    address: MemberAddress,
    name: LaneName,
    settings: Settings,
    onLost: (connection: Connection) => void,
  ) {
    this.#address = address;
    this.#name = name;
    this.#settings = { ...settings, channelOptions: optionsOf(name, settings.channelOptions) };
    this.#onLost = onLost;
  }

  /** The connection, if a call can go out on it at once, and is likely to arrive. */
  get ready(): Connection | undefined {
    const state = this.#state;
    if (state.status !== "ready" || !state.connection.isReady) return undefined;
    return this.#isTrusted(state.connection) ? state.connection : undefined;
  }

  get isConnecting(): boolean {
    return this.#state.status === "connecting";
  }

  /** The connection; all who ask while it is being made share one attempt, and its error. */
  async connect(): Promise<Connection> {
    switch (this.#state.status) {
      case "ready":
        if (this.ready) return this.ready;
        this.#state.connection.isGivenUp ||= this.#state.connection.isReady;
        void this.#state.connection.close();
        return this.connect();
      case "connecting":
        void this.#state.dial.wait();
        return this.#state.opened;
      case "closed":
        throw closedError();
      case "idle": {
        const { endpoint } = this.#address;
        const dial = new Dial(this.#settings, endpoint, () => this.#connection(), this.#roundTripMs);
        const opened = this.#open(dial);
        this.#state = { status: "connecting", dial, opened };
        return opened;
      }
    }
  }

  /** One who called `connect()` has a connection from elsewhere; after the last, the attempt ends. */
  abandon(): void {
    const state = this.#state;
    if (state.status === "connecting" && state.dial.abandon()) this.#state = { status: "idle" };
  }

  /** Closes for good. Resolves when no socket is open. */
  async close(): Promise<void> {
    const state = this.#state;
    this.#state = { status: "closed" };
    if (state.status === "connecting") await state.dial.close();
    if (state.status === "ready") await state.connection.close();
  }

  /** Not so calls: they are short, and each has a time of its own. */
  #isTrusted({ streams, answeredAt, openedAt }: Connection): boolean {
    if (this.#name === "calls" || streams > 0) return true;
    return this.#settings.clock.now() - (answeredAt ?? openedAt) <= IDLE_TRUST_MS;
  }

  #connection(): Connection {
    return new Connection(this.#address, this.#settings, (over) => this.#leave(over));
  }

  async #open(dial: Dial<Connection>): Promise<Connection> {
    const { clock } = this.#settings;
    const { endpoint } = this.#address;
    const start = clock.now();
    try {
      const connection = await dial.wait();
      if (connection.isClosed) throw networkError("connection lost", endpoint);
      this.#state = { status: "ready", connection };
      const durationMs = clock.now() - start;
      publish("sd:connection:opened", () => ({ endpoint, lane: this.#name, durationMs }));
      return connection;
    } catch (error) {
      if (this.#state.status === "connecting") this.#state = { status: "idle" };
      publish("sd:connection:failed", () => ({ endpoint, lane: this.#name, error }));
      throw error;
    }
  }

  #leave(connection: Connection): void {
    const state = this.#state;
    if (state.status !== "ready" || state.connection !== connection) return;
    this.#state = { status: "idle" };
    this.#roundTripMs = connection.roundTripMs;
    publish("sd:connection:closed", () => ({ endpoint: this.#address.endpoint, lane: this.#name }));
    this.#onLost(connection);
  }
}
