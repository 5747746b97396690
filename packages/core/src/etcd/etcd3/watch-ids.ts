import type { DuplexStream } from "../transport.js";
import type { WatchRequest, WatchResponse } from "../types.js";

/**
 * Our ids for the watches of one stream, whatever the other end calls them.
 *
 * etcd takes the ids that we choose. Its grpc-proxy numbers the watches of a stream from 0, in the order in
 * which they are asked for, and says so nowhere: `server/proxy/grpcproxy/watch.go`. Which of the two it is
 * shows in the first answer, as we never choose 0.
 */
export class WatchIds implements DuplexStream<WatchRequest> {
  readonly #stream: DuplexStream<WatchRequest>;
  /** As they were asked for; `undefined` once we know that ours are used. */
  #asked: number[] | undefined = [];
  /** Ours by theirs, and theirs by ours; `undefined` until we know that they differ. */
  #renumbered: { readonly ours: Map<number, number>; readonly theirs: Map<number, number> } | undefined;
  #nextTheirs = 0;
  /** Cancellations that came before the first answer. */
  #held: number[] = [];

  constructor(stream: DuplexStream<WatchRequest>) {
    this.#stream = stream;
  }

  get endpoint(): string {
    return this.#stream.endpoint;
  }

  get roundTripMs(): number {
    return this.#stream.roundTripMs ?? 0;
  }

  send(request: WatchRequest): void {
    if (request.type === "create") this.#ask(request.watchId);
    if (request.type === "cancel" && this.#asked) this.#held.push(request.watchId);
    else if (request.type === "cancel") this.#cancel(request.watchId);
    else this.#stream.send(request);
  }

  cancel(options?: { readonly suspect?: boolean }): void {
    this.#stream.cancel(options);
  }

  /** The answer with our id in it. */
  translate(response: WatchResponse): WatchResponse {
    if (this.#asked) this.#learn(this.#asked, response);
    if (!this.#renumbered) return response;
    const { ours, theirs } = this.#renumbered;
    const watchId = ours.get(response.watchId);
    if (watchId === undefined) return response.watchId < 0 ? response : { ...response, watchId: UNKNOWN };
    if (response.canceled) {
      ours.delete(response.watchId);
      theirs.delete(watchId);
    }
    return { ...response, watchId };
  }

  #ask(watchId: number): void {
    if (this.#asked) this.#asked.push(watchId);
    else if (this.#renumbered) this.#number(watchId, this.#renumbered);
  }

  #number(
    watchId: number,
    { ours, theirs }: { readonly ours: Map<number, number>; readonly theirs: Map<number, number> },
  ): void {
    ours.set(this.#nextTheirs, watchId);
    theirs.set(watchId, this.#nextTheirs);
    this.#nextTheirs += 1;
  }

  #learn(asked: number[], { created, watchId }: WatchResponse): void {
    if (!created) return;
    if (watchId < 0) {
      // A refusal, which takes no number.
      asked.shift();
      return;
    }
    this.#asked = undefined;
    if (!asked.includes(watchId)) {
      this.#renumbered = { ours: new Map(), theirs: new Map() };
      for (const each of asked) this.#number(each, this.#renumbered);
    }
    for (const each of this.#held.splice(0)) this.#cancel(each);
  }

  #cancel(watchId: number): void {
    const theirs = this.#renumbered ? this.#renumbered.theirs.get(watchId) : watchId;
    if (theirs !== undefined) this.#stream.send({ type: "cancel", watchId: theirs });
  }
}

/** No id of ours: of a watch that is over. */
const UNKNOWN = 0;
