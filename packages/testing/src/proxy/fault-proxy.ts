import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { invalidArgument, type Random, requireListener, requireOptions } from "@sd/core";
import { requireNumber, requireOneOf, requireWhole } from "../check/arguments.js";
import { SeededRandom } from "../random/seeded-random.js";
import { Conditions, type LaneFault } from "./conditions.js";
import {
  Connection,
  type ConnectionHost,
  type Direction,
  type ProxiedConnection,
} from "./proxied-connection.js";

export interface FaultProxyOptions {
  /** The address of a server, like `http://127.0.0.1:2379`. */
  readonly target: string;
  /** What the jitter draws from. Default: a `SeededRandom(1)`. */
  readonly random?: Random;
}

/** Sees the bytes that the target sends, before they are forwarded. */
export type DownstreamListener = (chunk: Uint8Array, connection: ProxiedConnection) => void;

/**
 * A TCP proxy on a loopback port whose faults are switched while it runs.
 *
 * Faults add up until `pass()`, and hold for open connections and new ones unless said otherwise. Bytes that are
 * forwarded are never reordered. Of each direction of a connection it holds a megabyte at most; then the sender
 * waits. Close it: it drops all connections.
 */
export class FaultProxy implements AsyncDisposable {
  /** Where clients connect instead of the target: the same scheme, another port. */
  readonly endpoint: string;
  readonly #target: Target;
  readonly #server: Server;
  readonly #connections = new Set<Connection>();
  readonly #listeners = new Set<{ readonly call: DownstreamListener }>();
  readonly #conditions = { up: new Conditions(), down: new Conditions() };
  readonly #host: ConnectionHost;
  #mode: "pass" | "refuse" | "tarpit" = "pass";
  #budget: { readonly direction: Direction; bytes: number } | undefined;
  #accepted = 0;
  #closed: Promise<void> | undefined;

  private constructor(target: Target, random: Random, server: Server, port: number) {
    this.endpoint = `${target.scheme}://127.0.0.1:${port}`;
    this.#target = target;
    this.#server = server;
    this.#host = {
      conditions: this.#conditions,
      chance: () => random.next(),
      inspect: (direction, chunk, connection) => this.#inspect(direction, chunk, connection),
      onCut: (connection) => connection.reset(),
      onClose: (connection) => void this.#connections.delete(connection),
    };
    server.on("connection", (socket) => this.#accept(socket));
  }

  /**
   * Listens on a free port. The target need not run yet.
   *
   * @throws SdError `SD_INVALID_ARGUMENT`
   */
  static async start(options: FaultProxyOptions): Promise<FaultProxy> {
    requireOptions("the options of FaultProxy.start()", options);
    const { target, random = new SeededRandom(1) } = options;
    const parsed = parseTarget(target);
    const server = createServer({ allowHalfOpen: true, noDelay: true }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    return new FaultProxy(parsed, random, server, typeof address === "object" && address ? address.port : 0);
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
   * Back to normal, for new connections and for those that forward. What waits is forwarded at once.
   *
   * What was black-holed stays lost; later bytes of the same connection are forwarded again. A direction that
   * `halfClose()` has ended stays ended, and a connection that was taken by `tarpit()` stays stuck, until
   * `reset()`.
   */
  pass(): void {
    this.#mode = "pass";
    this.#budget = undefined;
    this.#conditions.up.clear();
    this.#conditions.down.clear();
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
    requireWhole("bytes", bytes);
    checkDirection(direction, oneWay);
    this.#budget = { direction, bytes };
  }

  /** Drops all bytes of a direction, and the end of connections too: nobody is told anything. */
  blackhole(direction: Direction | "both" = "both"): void {
    this.#fault(direction, { isBlackholed: true });
  }

  /**
   * Ends one direction by FIN, as if its sender had: what it sends from now on is dropped. The other direction
   * goes on. New connections are ended so as soon as they are open, until `pass()`.
   */
  halfClose(direction: Direction): void {
    checkDirection(direction, oneWay);
    this.#fault(direction, { isEnded: true });
  }

  /** Forwards each chunk `ms` later, in order. */
  delay(ms: number, direction: Direction | "both" = "both"): void {
    this.#fault(direction, { delayMs: milliseconds(ms) });
  }

  /** Lets each chunk wait up to `ms` more than `delay()` says, by chance; a later chunk still comes later. */
  jitter(ms: number, direction: Direction | "both" = "both"): void {
    this.#fault(direction, { jitterMs: milliseconds(ms) });
  }

  /**
   * Forwards at most so much, in each direction that is named and for all connections together, in pieces of
   * 20 ms. After a pause 50 ms' worth may come at once.
   */
  limitBandwidth(bytesPerSecond: number, direction: Direction | "both" = "both"): void {
    requireNumber("bytesPerSecond", bytesPerSecond, 1, Number.POSITIVE_INFINITY);
    this.#fault(direction, { bytesPerSecond });
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
    requireListener(listener);
    const entry = { call: listener };
    this.#listeners.add(entry);
    return { [Symbol.dispose]: () => void this.#listeners.delete(entry) };
  }

  /** Drops all connections and stops listening. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.reset();
    await once(this.#server.close(), "close");
  }

  #fault(direction: Direction | "both", fault: Partial<LaneFault>): void {
    checkDirection(direction, [...oneWay, "both"]);
    if (direction !== "down") this.#conditions.up.change(fault);
    if (direction !== "up") this.#conditions.down.change(fault);
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

interface Target {
  readonly scheme: string;
  readonly host: string;
  readonly port: number;
}

function parseTarget(target: string): Target {
  const [, scheme, bracketed, host = bracketed, port] =
    /^(https?):\/\/(?:\[([\da-fA-F:]+)\]|([^/:\s]+)):(\d{1,5})\/?$/.exec(target) ?? [];
  if (!scheme || !host || Number(port) > 65_535) {
    throw invalidArgument("target", "like http://127.0.0.1:2379", target);
  }
  return { scheme, host, port: Number(port) };
}

const oneWay = ["up", "down"];

function checkDirection(direction: string, allowed: readonly string[]): void {
  requireOneOf("direction", direction, allowed);
}

function milliseconds(ms: number): number {
  requireNumber("ms", ms, 0, 2 ** 31 - 1);
  return ms;
}
