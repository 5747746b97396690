import { fixedRandom, ManualClock } from "@sd/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { settled } from "../../../test/observe.js";
import { failure } from "../../../test/scripted-transport.js";
import { deferred } from "../../kit/deferred.js";
import { type Attempt, Dial } from "./dial.js";
import { settle } from "./options.js";

/** An attempt that the test plays. */
class Played implements Attempt {
  hasHeard = false;
  isClosed = false;
  readonly at: number;
  readonly opened = deferred<void>();

  constructor(at: number) {
    this.at = at;
    this.opened.promise.catch(() => {});
  }

  open(): Promise<void> {
    return this.opened.promise;
  }

  async close(): Promise<void> {
    this.isClosed = true;
    this.opened.reject(failure("network"));
  }
}

let clock: ManualClock;
let attempts: Played[];

beforeEach(() => {
  clock = new ManualClock();
  attempts = [];
  return () => {
    expect(clock.pending).toBe(0);
  };
});

function dial(roundTripMs?: number) {
  const settings = settle({ endpoints: "http://a:1", clock, random: fixedRandom(0.5) });
  const connect = (): Played => {
    const attempt = new Played(clock.now());
    attempts.push(attempt);
    return attempt;
  };
  const dialing = new Dial<Played>(settings, "http://a:1", connect, roundTripMs);
  return { dialing, outcome: settled(dialing.wait()) };
}

const times = (): number[] => attempts.map(({ at }) => at);
const open = (): number[] => attempts.filter(({ isClosed }) => !isClosed).map(({ at }) => at);

describe("Dial", () => {
  it("tries a member that was never reached every 3 s, and gives it up after 10 s (T2)", async () => {
    const { outcome } = dial();
    await clock.advance(9_999);
    expect([times(), open(), outcome.status]).toEqual([[0, 3_000, 6_000, 9_000], times(), "pending"]);
    await clock.advance(1);
    expect(outcome).toMatchObject({ status: "rejected", reason: { code: "SD_UNAVAILABLE" } });
    expect(String(outcome.reason)).toContain("no HTTP/2 connection within 10000 ms");
    expect(open()).toEqual([]);
  });

  it("tries one that is near every 1.5 s, four at a time: the first and the newest", async () => {
    const { outcome } = dial(5);
    await clock.advance(8_000);
    expect(times()).toEqual([0, 1_500, 3_000, 4_500, 6_000, 7_500]);
    expect(open()).toEqual([0, 4_500, 6_000, 7_500]);
    attempts[5]?.opened.resolve();
    await clock.settle();
    expect(outcome.value?.at).toBe(7_500);
    expect(open()).toEqual([7_500]);
  });

  it("gives one that is far twice the time of an exchange", async () => {
    dial(1_000);
    await clock.advance(10_000);
    expect(times()).toEqual([0, 2_000, 4_000, 6_000, 8_000]);
  });

  it("goes on for up to 30 s with a peer that has begun to answer: TLS over a slow link (F32)", async () => {
    const { outcome } = dial();
    await clock.advance(8_000);
    for (const attempt of attempts) attempt.hasHeard = true;
    await clock.advance(4_000);
    attempts[0]?.opened.resolve();
    await clock.settle();
    expect(outcome.value?.at).toBe(0);
    const other = dial();
    for (const attempt of attempts) attempt.hasHeard = true;
    await clock.advance(29_999);
    expect(other.outcome.status).toBe("pending");
    await clock.advance(1);
    expect(String(other.outcome.reason)).toContain("within 30000 ms");
  });

  it("closes for a new attempt none that has been answered", async () => {
    const { dialing } = dial(5);
    await clock.advance(2_000);
    for (const attempt of attempts) attempt.hasHeard = true;
    await clock.advance(5_000);
    expect(open()).toEqual([0, 1_500, 4_500, 6_000]);
    for (const attempt of attempts) attempt.hasHeard = true;
    await clock.advance(2_000);
    expect(times()).toHaveLength(5);
    dialing.wait().catch(() => {});
    await dialing.close();
  });

  it("ends with the first refusal, and by close() or when nobody waits", async () => {
    const { outcome } = dial();
    await clock.advance(3_000);
    attempts[1]?.opened.reject(failure("tls"));
    await clock.settle();
    expect([outcome.status, open()]).toEqual(["rejected", []]);
    const other = dial();
    expect(other.dialing.abandon()).toBe(true);
    expect(open()).toEqual([]);
    const last = dial(5);
    await clock.advance(7_000);
    await last.dialing.close();
    await clock.settle();
    expect([last.outcome.status, open()]).toEqual(["rejected", []]);
  });
});
