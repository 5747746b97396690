import { publish } from "../../kit/channels.js";
import { Connection } from "./connection.js";
import type { MemberAddress } from "./endpoints.js";
import { closedError, networkError } from "./failures.js";
import type { Settings } from "./options.js";

/** Calls and streams do not share a connection, so that a big list delays no renewal. */
export type LaneName = "calls" | "streams";

type LaneState =
  | { readonly status: "idle" }
  | { readonly status: "connecting"; readonly connection: Connection; readonly opened: Promise<Connection> }
  | { readonly status: "ready"; readonly connection: Connection }
  | { readonly status: "closed" };

/** The way to one member for one purpose: at most one connection at a time, made when it is wanted. */
export class Lane {
  readonly #address: MemberAddress;
  readonly #name: LaneName;
  readonly #settings: Settings;
  readonly #onLost: (connection: Connection) => void;
  #state: LaneState = { status: "idle" };

  /** @param onLost called when a connection ends that had been ready. */
  constructor(
    address: MemberAddress,
    name: LaneName,
    settings: Settings,
    onLost: (connection: Connection) => void,
  ) {
    this.#address = address;
    this.#name = name;
    this.#settings = settings;
    this.#onLost = onLost;
  }

  get isReady(): boolean {
    return this.#state.status === "ready" && this.#state.connection.isReady;
  }

  get isConnecting(): boolean {
    return this.#state.status === "connecting";
  }

  /** The connection; all who ask while it is being made share one attempt, and its error. */
  async connect(): Promise<Connection> {
    switch (this.#state.status) {
      case "ready":
        if (this.#state.connection.isReady) return this.#state.connection;
        void this.#state.connection.close();
        return this.connect();
      case "connecting":
        return this.#state.opened;
      case "closed":
        throw closedError();
      case "idle": {
        const connection = this.#dial();
        const opened = this.#open(connection);
        this.#state = { status: "connecting", connection, opened };
        return opened;
      }
    }
  }

  /** Closes for good. Resolves when no socket is open. */
  async close(): Promise<void> {
    const state = this.#state;
    const closing =
      state.status === "connecting" || state.status === "ready" ? state.connection.close() : undefined;
    this.#state = { status: "closed" };
    await closing;
  }

  #dial(): Connection {
    try {
      return new Connection(this.#address, this.#settings, (over) => this.#leave(over));
    } catch (error) {
      throw this.#failed(error);
    }
  }

  async #open(connection: Connection): Promise<Connection> {
    const { clock } = this.#settings;
    const { endpoint } = this.#address;
    const start = clock.now();
    try {
      await connection.open();
    } catch (error) {
      throw this.#failed(error);
    }
    if (connection.isClosed) throw this.#failed(networkError("connection lost", endpoint));
    this.#state = { status: "ready", connection };
    const durationMs = clock.now() - start;
    publish("sd:connection:opened", () => ({ endpoint, lane: this.#name, durationMs }));
    return connection;
  }

  #failed(error: unknown): unknown {
    const { endpoint } = this.#address;
    publish("sd:connection:failed", () => ({ endpoint, lane: this.#name, error }));
    return error;
  }

  #leave(connection: Connection): void {
    const state = this.#state;
    if (state.status === "idle" || state.status === "closed" || state.connection !== connection) return;
    this.#state = { status: "idle" };
    if (state.status === "connecting") return;
    publish("sd:connection:closed", () => ({ endpoint: this.#address.endpoint, lane: this.#name }));
    this.#onLost(connection);
  }
}
