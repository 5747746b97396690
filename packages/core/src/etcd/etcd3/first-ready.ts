import type { Clock, Timer } from "../../kit/clock.js";
import { deferred } from "../../kit/deferred.js";
import { unsent } from "../failure.js";
import type { Bounds } from "./bounds.js";
import type { Connection } from "./connection.js";
import type { LaneName } from "./lane.js";
import type { Member } from "./member.js";

/** A connection, and whose it is. */
export interface Link {
  readonly member: Member;
  readonly connection: Connection;
}

/**
 * The first member to be reached, each with a head start before the next, as browsers choose between
 * addresses (RFC 8305): a silent member costs a moment, not its whole time-out.
 *
 * Those who had their chance and lost are asked last from now on; their connections are not kept.
 *
 * @throws the error of the last member, marked as not sent, if all have failed; the reason of `bounds` if
 *   they end first, while the attempts go on for those who come next.
 */
export async function firstReady(
  members: readonly Member[],
  lane: LaneName,
  clock: Clock,
  bounds: Bounds,
): Promise<Link> {
  const first = deferred<Link>();
  const dialing = new Set<Member>();
  const waiting = [...members];
  let timer: Timer | undefined;
  const dialNext = (): void => {
    timer?.[Symbol.dispose]();
    const member = waiting.shift();
    if (!member) return;
    dialing.add(member);
    if (waiting.length > 0) timer = clock.setTimer(member.headStartMs, dialNext);
    member.connect(lane).then(
      (connection) => {
        dialing.delete(member);
        first.resolve({ member, connection });
      },
      (error) => {
        dialing.delete(member);
        if (waiting.length > 0) dialNext();
        else if (dialing.size === 0) first.reject(unsent(error));
      },
    );
  };
  dialNext();
  try {
    const link = await bounds.wait(first.promise);
    for (const member of dialing) {
      if (members.indexOf(member) < members.indexOf(link.member)) member.suspect();
      member.abandon(lane);
    }
    return link;
  } finally {
    waiting.length = 0;
    timer?.[Symbol.dispose]();
  }
}
