import { type Clock, type DuplexStream, EtcdFailure, failureError, type StreamHandlers } from "@sd/core";
import type { Process } from "./process.js";

export interface LinkStreamOptions<Out, In> {
  readonly process: Process;
  readonly world: Clock;
  readonly handlers: StreamHandlers<In>;
  /** What etcd sends as one message, as it comes in. */
  readonly inParts: (message: In) => readonly In[];
  /** How long the next message takes. */
  readonly delay: () => number;
  /** Whether the stream breaks at this message. */
  readonly isCut: () => boolean;
  /** Whether what is sent now is lost without a sign. */
  readonly isDropped: () => boolean;
  readonly onSend: (message: Out) => void;
  readonly onOver: () => void;
}

/** A stream with latency that can break or fall mute. Messages never overtake each other. */
export class LinkStream<Out, In> implements DuplexStream<Out> {
  readonly #options: LinkStreamOptions<Out, In>;
  #inner: DuplexStream<Out> | undefined;
  #isOver = false;
  #isCanceled = false;
  #isMute = false;
  #upAt = 0;
  #downAt = 0;

  constructor(options: LinkStreamOptions<Out, In>) {
    this.#options = options;
  }

  get endpoint(): string {
    return this.#inner?.endpoint ?? "simulated";
  }

  /** What etcd's end of the stream tells. */
  readonly fromEtcd: StreamHandlers<In> = {
    onMessage: (message) => {
      for (const part of this.#options.inParts(message)) this.#receive(part);
    },
    onEnd: (error) => {
      if (!this.#isMute) this.fail(error);
    },
  };

  #receive(message: In): void {
    const { isCut, process, handlers } = this.#options;
    if (this.#isMute || this.#isOver) return;
    const isLast = isCut();
    this.#downAt = this.#inOrder(this.#downAt, () => {
      if (this.#isOver || this.#isMute) return;
      process.run(() => {
        if (!this.#isCanceled) handlers.onMessage(message);
      });
      if (isLast) this.fail(broken());
    });
  }

  attach(inner: DuplexStream<Out>): void {
    this.#inner = inner;
    if (this.#isOver) inner.cancel();
  }

  send(message: Out): void {
    if (this.#isOver) return;
    const { isCut, isDropped, onSend } = this.#options;
    onSend(message);
    if (this.#isMute || isDropped()) return;
    const isLast = isCut();
    this.#upAt = this.#inOrder(this.#upAt, () => {
      if (this.#isOver || this.#isMute) return;
      this.#inner?.send(message);
      if (isLast) this.fail(broken());
    });
  }

  cancel(options?: { readonly suspect?: boolean }): void {
    this.#isCanceled = true;
    this.#end(options);
  }

  /** From now on nothing passes, for ever. */
  mute(): void {
    this.#isMute = true;
  }

  fail(error: unknown): void {
    if (this.#isOver) return;
    this.#end();
    const { process, handlers } = this.#options;
    // Never within a call of the owner.
    queueMicrotask(() =>
      process.run(() => {
        if (this.#isCanceled) return;
        this.#isCanceled = true;
        handlers.onEnd(error);
      }),
    );
  }

  #end(options?: { readonly suspect?: boolean }): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#inner?.cancel(options);
    this.#options.onOver();
  }

  /** Does `step` after a delay, not before what came before it. Returns when. */
  #inOrder(last: number, step: () => void): number {
    const { world, delay } = this.#options;
    const now = world.now();
    const at = Math.max(last, now + delay());
    // At the same moment as one that waits: behind it.
    if (at === now && last < now) step();
    else world.setTimer(at - now, step);
    return at;
  }
}

function broken(): Error {
  return failureError(new EtcdFailure("network", "read ECONNRESET", { status: 14 }));
}
