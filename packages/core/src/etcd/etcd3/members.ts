import type { Clock } from "../../kit/clock.js";
import { shuffle } from "../../kit/random.js";
import type { Bounds } from "./bounds.js";
import { firstReady, type Link } from "./first-ready.js";
import type { LaneName } from "./lane.js";
import { Member } from "./member.js";
import type { Settings } from "./options.js";

/**
 * The members of the cluster, in the order in which they are asked: by their `Standing`, and among equals those
 * with a connection first. None is ever excluded, none is pinned.
 *
 * The order is otherwise random, once per client: thousands of clients with the same configuration spread.
 */
export class Members {
  readonly #members: readonly Member[];
  readonly #clock: Clock;

  constructor(settings: Settings) {
    this.#clock = settings.clock;
    const addresses = shuffle(settings.random, settings.addresses);
    this.#members = addresses.map((address) => new Member(address, settings));
  }

  /**
   * A connection to the first member that can be reached; `elsewhere`: whose turn it is comes last.
   *
   * @throws the error of the last member, marked as not sent, if none can be reached; the reason of `bounds` if they
   *   end first.
   */
  async connect(lane: LaneName, bounds: Bounds, elsewhere = false): Promise<Link> {
    bounds.throwIfOver();
    const order = this.#order(lane, elsewhere);
    return readyIn(order, lane) ?? firstReady(order, lane, this.#clock, bounds);
  }

  /** What `connect()` would resolve with, if a call can go out at once. */
  ready(lane: LaneName, elsewhere = false): Link | undefined {
    return readyIn(this.#order(lane, elsewhere), lane);
  }

  async close(): Promise<void> {
    await Promise.all(this.#members.map((member) => member.close()));
  }

  #order(lane: LaneName, elsewhere: boolean): readonly Member[] {
    if (this.#members.length === 1) return this.#members;
    const order = this.#members
      .map((member) => ({ member, isReady: member.ready(lane) !== undefined }))
      .sort((a, b) => a.member.standing.compare(b.member.standing) || Number(b.isReady) - Number(a.isReady))
      .map(({ member }) => member);
    if (elsewhere) order.push(...order.splice(0, 1));
    return order;
  }
}

function readyIn([member]: readonly Member[], lane: LaneName): Link | undefined {
  const connection = member?.ready(lane);
  return member && connection && { member, connection };
}
