import { connect, type Socket } from "node:net";
import type { Conditions } from "./conditions.js";
import { Lane } from "./lane.js";

/** Where bytes go: `up` to the target, `down` to the client. */
export type Direction = "up" | "down";

/** One client's connection through a `FaultProxy`. */
export interface ProxiedConnection {
  /** From 1, in the order of their acceptance. */
  readonly id: number;
  /** Bytes forwarded to the target. */
  readonly bytesUp: number;
  /** Bytes forwarded to the client. */
  readonly bytesDown: number;
  /** Ends both halves by RST at once. */
  reset(): void;
  /** In a callback of `onDownstream()`: forwards only `bytes` of this chunk, then resets. */
  cutAt(bytes: number): void;
}

/** What a connection asks its proxy. */
export interface ConnectionHost {
  readonly conditions: Readonly<Record<Direction, Conditions>>;
  /** Chance for the jitter, in [0, 1). */
  chance(): number;
  /** How much of a chunk may be forwarded before the connection is cut; `undefined`: all. */
  inspect(direction: Direction, chunk: Buffer, connection: ProxiedConnection): number | undefined;
  onCut(connection: Connection): void;
  onClose(connection: Connection): void;
}

/** Both halves of a proxied connection and the two lanes between them. */
export class Connection implements ProxiedConnection {
  readonly id: number;
  readonly #client: Socket;
  readonly #host: ConnectionHost;
  #target: Socket | undefined;
  #up: Lane | undefined;
  #down: Lane | undefined;
  #cutAt: number | undefined;

  constructor(id: number, client: Socket, host: ConnectionHost) {
    this.id = id;
    this.#client = client;
    this.#host = host;
    client.on("error", () => {});
    client.on("close", (hadError) => this.#onHalfClosed("up", hadError));
  }

  get bytesUp(): number {
    return this.#up?.forwarded ?? 0;
  }

  get bytesDown(): number {
    return this.#down?.forwarded ?? 0;
  }

  /** Whether the client still has its connection. */
  get isOpen(): boolean {
    return !this.#client.destroyed;
  }

  /** Connects to the target and forwards. */
  forward(host: string, port: number): void {
    const client = this.#client;
    const target = connect({ host, port, allowHalfOpen: true, noDelay: true });
    this.#target = target;
    target.on("error", () => {});
    target.on("close", (hadError) => this.#onHalfClosed("down", hadError));
    this.#up = this.#lane("up", client, target);
    this.#down = this.#lane("down", target, client);
  }

  /** Accepts, reads and does nothing, for ever. */
  stick(): void {
    this.#client.resume();
    this.#client.on("end", () => this.#client.destroy());
  }

  reset(): void {
    resetSocket(this.#client);
    if (this.#target) resetSocket(this.#target);
  }

  cutAt(bytes: number): void {
    this.#cutAt = bytes;
  }

  #lane(direction: Direction, source: Socket, sink: Socket): Lane {
    const onChunk = (chunk: Buffer): number | undefined => {
      const limit = this.#host.inspect(direction, chunk, this);
      const own = this.#cutAt;
      this.#cutAt = undefined;
      return own === undefined ? limit : Math.min(own, limit ?? own);
    };
    return new Lane(source, sink, this.#host.conditions[direction], {
      chance: () => this.#host.chance(),
      onChunk,
      onCut: () => this.#host.onCut(this),
    });
  }

  /** One half is gone; the other learns of it, unless what goes there is black-holed. */
  #onHalfClosed(direction: Direction, hadError: boolean): void {
    const [half, other] = direction === "up" ? [this.#client, this.#target] : [this.#target, this.#client];
    if (other && !other.destroyed && !this.#host.conditions[direction].fault.isBlackholed) {
      if (hadError) resetSocket(other);
      // Else its lane brings the end, after the bytes that are still on their way.
      else if (!half?.readableEnded) other.end();
    }
    if (this.#client.destroyed && (this.#target?.destroyed ?? true)) this.#host.onClose(this);
  }
}

/** By RST where that can be: Node waits for ever while it connects, and fails during a shutdown. */
function resetSocket(socket: Socket): void {
  if (socket.destroyed) return;
  if (socket.connecting || (socket.writableEnded && !socket.writableFinished)) socket.destroy();
  else socket.resetAndDestroy();
}
