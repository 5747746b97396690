import { AsyncLocalStorage } from "node:async_hooks";
import { subscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";
import type { Clock, Timer } from "../../kit/clock.js";

const current = new AsyncLocalStorage<Sockets>();
let subscribed = false;
/** How many use the context. While it is in use, Node 20 and 22 follow every promise of the process. */
let users = 0;

/**
 * The sockets that grpc-js opens while it connects on our behalf, so that we can close them.
 *
 * grpc-js itself lets go of a channel that is still connecting without closing its socket: one to a peer
 * that never answers stays open for ever. And it closes a connected one only after a goodbye. It gives no
 * way to its sockets, but Node tells of each that is opened, and the asynchronous context tells for whom.
 * Measured with grpc-js 1.14.7; see also https://github.com/grpc/grpc-node/issues/2785
 *
 * The context is in use only while somebody connects: it makes every promise of the process, also those that
 * grpc-js makes for each message, two to three times as dear (0.15 against 0.33 to 0.45 µs), and more to collect.
 */
export class Sockets {
  readonly #open = new Set<Socket>();
  readonly #clock: Clock;
  readonly #lateMs: number;
  #isComplete = false;
  #isUser = false;
  #closing: Promise<void> | undefined;
  #lateTimer: Timer | undefined;
  #onLate = (): void => {};

  /**
   * @param lateMs how long after `close()` grpc-js may open one more. It does so if it is closed between two
   *   attempts (`Subchannel.unref()` leaves the state TRANSIENT_FAILURE alone, and the backoff goes on): no
   *   later than its longest backoff.
   */
  constructor(clock: Clock, lateMs: number) {
    this.#clock = clock;
    this.#lateMs = lateMs;
  }

  /** Runs `connect`; every socket opened by it, at once or later, belongs here, until `complete()`. */
  run(connect: () => void): void {
    if (!subscribed) {
      subscribed = true;
      subscribe("net.client.socket", (message) =>
        current.getStore()?.add((message as { socket: Socket }).socket),
      );
    }
    if (!this.#isUser) users += 1;
    this.#isUser = true;
    current.run(this, connect);
  }

  /**
   * Takes no more sockets. To be called before any answer is handed on: the context goes with it, and a
   * socket that a user opens in a listener is not ours.
   */
  complete(): void {
    this.#isComplete = true;
    this.#leave();
  }

  /** Whether the peer of any of them has sent a byte. */
  get hasHeard(): boolean {
    return [...this.#open].some(({ bytesRead }) => bytesRead > 0);
  }

  add(socket: Socket): void {
    if (this.#isComplete) return;
    this.#open.add(socket);
    socket.once("close", () => this.#open.delete(socket));
    // A closed channel may still try once more. Not at once: Node tells of a socket before it connects it,
    // and connecting would revive it.
    if (!this.#closing) return;
    this.#leaveLater();
    process.nextTick(() => socket.destroy());
    this.#onLate();
  }

  /**
   * Closes all, also those that come later. Resolves when none is open.
   *
   * @param onLate called for each that comes later: somebody still connects.
   */
  close(onLate: () => void): Promise<void> {
    this.#onLate = onLate;
    this.#closing ??= Promise.all([...this.#open].map(destroyed)).then(() => {});
    if (this.#isUser) this.#leaveLater();
    return this.#closing;
  }

  /** Waits for what comes late, and again after each. */
  #leaveLater(): void {
    this.#lateTimer?.[Symbol.dispose]();
    this.#lateTimer = this.#clock.setTimer(this.#lateMs, () => this.#leave());
  }

  #leave(): void {
    if (!this.#isUser) return;
    this.#isUser = false;
    users -= 1;
    if (users === 0) current.disable();
  }
}

function destroyed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) return resolve();
    socket.once("close", () => resolve());
    socket.destroy();
  });
}
