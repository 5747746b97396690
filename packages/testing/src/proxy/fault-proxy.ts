import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import type { LaneFault } from "./lane.js";
import {
  Connection,
  type ConnectionHost,
  type Direction,
  type ProxiedConnection,
} from "./proxied-connection.js";

export interface FaultProxyOptions {
  /** The address of a server, like `http://127.0.0.1:2379`. */
  readonly target: string;
}

/** Sees the bytes that the target sends, before they are forwarded. */
export type DownstreamListener = (chunk: Uint8Array, connection: ProxiedConnection) => void;

const noFault = (): LaneFault => ({ isBlackholed: false, isSliced: false, delayMs: 0 });

/**
 * A TCP proxy on a loopback port whose faults are switched while it runs.
 *
 * Faults add up until `pass()`. Dispose it: it drops all connections.
 */
export class FaultProxy {
  /** Where clients connect instead of the target: the same scheme, another port. */
  readonly endpoint: string;
  readonly #target: { readonly host: string; readonly port: number };
  readonly #server: Server;
  readonly #connections = new Set<Connection>();
  readonly #listeners = new Set<{ readonly call: DownstreamListener }>();
  readonly #faults = { up: noFault(), down: noFault() };
  readonly #host: ConnectionHost;
  #mode: "pass" | "refuse" | "tarpit" = "pass";
  #budget: { readonly direction: Direction; bytes: number } | undefined;
  #accepted = 0;

  private constructor(target: URL, server: Server, port: number) {
    this.endpoint = `${target.protocol}//127.0.0.1:${port}`;
    this.#target = { host: target.hostname, port: Number(target.port) };
    this.#server = server;
    this.#host = {
      faults: this.#faults,
      inspect: (direction, chunk, connection) => this.#inspect(direction, chunk, connection),
      onCut: (connection) => connection.reset(),
      onClose: (connection) => void this.#connections.delete(connection),
    };
    server.on("connection", (socket) => this.#accept(socket));
  }

  /** Listens on a free port. The target need not run yet. */
  static async start({ target }: FaultProxyOptions): Promise<FaultProxy> {
    const url = new URL(target);
    if (url.port === "") throw new Error(`target must have a port, got ${target}`);
    const server = createServer({ allowHalfOpen: true, noDelay: true }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    return new FaultProxy(url, server, typeof address === "object" && address ? address.port : 0);
  }

  /** How many clients are connected, as far as the proxy can tell: it does not see an end that is black-holed. */
  get connections(): number {
    return [...this.#connections].filter(({ isOpen }) => isOpen).length;
  }

  /** How many connections there ever were, refused ones included. */
  get accepted(): number {
    return this.#accepted;
  }

  /**
   * Back to normal, for new connections and for those that forward.
   *
   * What was black-holed stays lost; later bytes of the same connection are forwarded again. A connection
   * that was taken by `tarpit()` stays stuck until `reset()`.
   */
  pass(): void {
    this.#mode = "pass";
    this.#budget = undefined;
    Object.assign(this.#faults.up, noFault());
    Object.assign(this.#faults.down, noFault());
  }

  /** New connections are reset as soon as they are accepted. Open ones stay. */
  refuse(): void {
    this.#mode = "refuse";
  }

  /** New connections are accepted and nothing more: no byte is forwarded or answered. Open ones stay. */
  tarpit(): void {
    this.#mode = "tarpit";
  }

  /** Treats a connection that was accepted elsewhere, with `allowHalfOpen`, as one of its own. */
  adopt(socket: Socket): void {
    this.#accept(socket);
  }

  /** Ends all connections by RST, on both sides. */
  reset(): void {
    for (const connection of [...this.#connections]) connection.reset();
  }

  /**
   * Once: forwards `bytes` more in one direction, counted over all connections, and then resets the connection
   * that carried the last of them. The receiver has time to read it. 0: resets at the next byte.
   */
  resetAfterBytes(bytes: number, direction: Direction = "down"): void {
    this.#budget = { direction, bytes };
  }

  /** Drops all bytes of a direction, and the end of connections too: nobody is told anything. */
  blackhole(direction: Direction | "both" = "both"): void {
    this.#fault(direction, { isBlackholed: true });
  }

  /** Forwards each chunk `ms` later, in order. */
  delay(ms: number, direction: Direction | "both" = "both"): void {
    this.#fault(direction, { delayMs: ms });
  }

  /** Forwards byte by byte. */
  slice(direction: Direction | "both" = "both"): void {
    this.#fault(direction, { isSliced: true });
  }

  /**
   * Shows what the target sends, chunk by chunk as read, before it is forwarded; see also
   * `ProxiedConnection.cutAt()`. Ends when the result is disposed.
   */
  onDownstream(listener: DownstreamListener): Disposable {
    const entry = { call: listener };
    this.#listeners.add(entry);
    return { [Symbol.dispose]: () => void this.#listeners.delete(entry) };
  }

  /** Drops all connections and stops listening. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.reset();
    if (!this.#server.listening) return;
    await once(this.#server.close(), "close");
  }

  #fault(direction: Direction | "both", fault: Partial<LaneFault>): void {
    if (direction !== "down") Object.assign(this.#faults.up, fault);
    if (direction !== "up") Object.assign(this.#faults.down, fault);
  }

  #accept(socket: Socket): void {
    this.#accepted += 1;
    const connection = new Connection(this.#accepted, socket, this.#host);
    this.#connections.add(connection);
    if (this.#mode === "refuse") connection.reset();
    else if (this.#mode === "tarpit") connection.stick();
    else connection.forward(this.#target.host, this.#target.port);
  }

  #inspect(direction: Direction, chunk: Buffer, connection: ProxiedConnection): number | undefined {
    if (direction === "down") for (const { call } of [...this.#listeners]) call(chunk, connection);
    const budget = this.#budget;
    if (budget?.direction !== direction) return undefined;
    if (chunk.length < budget.bytes) {
      budget.bytes -= chunk.length;
      return undefined;
    }
    this.#budget = undefined;
    return budget.bytes;
  }
}
