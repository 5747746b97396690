import { fixedRandom, ManualClock, SeededRandom } from "@sd/testing";
import { afterEach, describe, expect, it } from "vitest";
import { type ClientFixture, type ClientFixtureOptions, openClient } from "../../test/client-fixture.js";
import { settled } from "../../test/observe.js";
import { failure, header, ScriptedTransport } from "../../test/scripted-transport.js";
import type { LeaseId } from "../etcd/types.js";
import { sleep } from "../kit/signals.js";
import type { Lease } from "./lease.js";
import { Leases } from "./leases.js";

const fixtures: ClientFixture[] = [];
afterEach(async () => {
  for (const fixture of fixtures.splice(0)) await fixture.end();
});

function open(options?: ClientFixtureOptions): ClientFixture {
  const fixture = openClient(options);
  fixtures.push(fixture);
  return fixture;
}

const grantMany = ({ client }: ClientFixture, count: number, ttlSeconds = 15): Promise<Lease[]> =>
  Promise.all(Array.from({ length: count }, () => client.leases.grant({ ttlSeconds })));
const suspects = ({ etcd }: ClientFixture) => etcd.callsOf("cancel").map(({ request }) => request.suspect);

describe("KeepaliveHub", () => {
  it("renews 1,000 leases on one stream", async () => {
    const fixture = open({ random: new SeededRandom(7) });
    const leases = await grantMany(fixture, 1_000);
    await fixture.clock.advance(40_000);
    expect(leases.every(({ state }) => state.status === "active")).toBe(true);
    expect(fixture.etcd.leases).toHaveLength(1_000);
    expect(fixture.etcd.callsOf("keepAlive")).toHaveLength(1);
    expect(fixture.etcd.openStreams).toBe(1);
  });

  /** When each lease was renewed. */
  function renewals({ etcd }: ClientFixture): number[][] {
    const times = new Map<bigint, number[]>();
    for (const { request, at } of etcd.callsOf("renew")) {
      times.set(request.id, [...(times.get(request.id) ?? []), at]);
    }
    return [...times.values()];
  }
  const gapsOf = (times: readonly number[][]): number[] =>
    times.flatMap((at) => at.slice(1).map((time, i) => time - (at[i] ?? 0)));

  it("renews each lease every third of its TTL, ± 10 %, from a random first phase (R17)", async () => {
    const fixture = open({ random: new SeededRandom(7) });
    await grantMany(fixture, 50);
    await fixture.clock.advance(100_000);
    const times = renewals(fixture);
    const gaps = gapsOf(times);
    const firsts = times.map(([first = 0]) => first);
    // Up to 250 ms early, to be sent together with another.
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(4_250);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(5_500);
    expect(Math.max(...gaps) - Math.min(...gaps)).toBeGreaterThan(800);
    expect(Math.max(...firsts)).toBeLessThanOrEqual(5_000);
    expect(Math.max(...firsts) - Math.min(...firsts)).toBeGreaterThan(4_000);
  });

  it("renews a lease of a short TTL at most 5 % sooner, however many there are to be sent with", async () => {
    const fixture = open({ random: new SeededRandom(7) });
    await grantMany(fixture, 50, 3);
    await fixture.clock.advance(20_000);
    expect(Math.min(...gapsOf(renewals(fixture)))).toBeGreaterThanOrEqual(850);
  });

  it.each([0, -1])("loses a lease when the answer is a TTL of %i", async (ttlSeconds) => {
    const clock = new ManualClock();
    const transport = new ScriptedTransport();
    const leases = new Leases(transport, clock, fixedRandom(0.5));
    const [lease, other] = [await leases.grant({ ttlSeconds: 15 }), await leases.grant({ ttlSeconds: 15 })];
    await clock.advance(2_500);
    const { sent } = transport.keepAliveStream;
    expect(sent).toEqual([{ id: lease.id }, { id: other.id }]);
    transport.keepAliveStream.say({ header: header(1), id: lease.id, ttlSeconds });
    expect(lease.state).toEqual({ status: "lost", reason: "expired" });
    expect(other.state.status).toBe("active");
    await leases.close();
    expect(clock.pending).toBe(0);
  });

  it("takes over the TTL of each answer, and counts from its own request (R10, R12)", async () => {
    const clock = new ManualClock();
    const transport = new ScriptedTransport();
    const leases = new Leases(transport, clock, fixedRandom(0.5));
    const lease = await leases.grant({ ttlSeconds: 15 });
    const answer = { header: header(1), id: lease.id, ttlSeconds: 30 };
    await clock.advance(1_000);
    transport.keepAliveStream.say(answer);
    expect(lease.state, "nobody asked").toMatchObject({ deadline: 15_000 });
    await clock.advance(3_000);
    transport.keepAliveStream.say(answer);
    expect(lease).toMatchObject({ ttlSeconds: 30, state: { deadline: 32_500 } });
    await clock.advance(2_500 + 10_000 - 4_000 - 1);
    expect(transport.keepAliveStream.sent).toHaveLength(1);
    await clock.advance(1);
    expect(transport.keepAliveStream.sent).toHaveLength(2);
    await leases.close();
  });

  it("opens a new stream when one is cut, and the leases survive", async () => {
    const fixture = open();
    const [lease] = await grantMany(fixture, 1, 5);
    for (let cuts = 0; cuts < 20; cuts += 1) {
      await fixture.clock.advance(2_000);
      fixture.etcd.cut();
    }
    await fixture.clock.advance(2_000);
    expect(lease?.state.status).toBe("active");
    expect(fixture.etcd.callsOf("keepAlive")).toHaveLength(21);
    expect(fixture.etcd.openStreams).toBe(1);
  });

  it.each([
    [15, 3_000],
    [30, 3_000],
    [6, 1_800],
  ])("leaves a frozen member as suspect: TTL %i s, %i ms after the renewal (R16)", async (ttl, answerMs) => {
    const fixture = open();
    const { clock, etcd } = fixture;
    const [lease] = await grantMany(fixture, 1, ttl);
    const firstAt = (ttl * 1_000) / 6;
    await clock.advance(firstAt - 1);
    etcd.freeze();
    await clock.advance(1 + answerMs - 1);
    expect(suspects(fixture)).toEqual([]);
    await clock.advance(1);
    expect(suspects(fixture)).toEqual([true]);
    expect(etcd.openStreams).toBe(0);
    await clock.advance(500);
    expect(etcd.callsOf("keepAlive").length, "opened anew").toBe(2);
    etcd.thaw();
    await clock.advance(1_000);
    expect(lease?.state.status).toBe("active");
  });

  it("notices an answer that never comes (R16)", async () => {
    const fixture = open();
    fixture.etcd.dropNextRequest("renew");
    const [lease] = await grantMany(fixture, 1);
    await fixture.clock.advance(5_500);
    expect(suspects(fixture)).toEqual([true]);
    await fixture.clock.advance(10_000);
    expect(lease?.state.status).toBe("active");
  });

  it("does not turn in circles over leases that are due shortly one after the other", async () => {
    const fixture = open({ random: new SeededRandom(3) });
    const leases = await grantMany(fixture, 200, 5);
    fixture.etcd.freeze();
    await fixture.clock.advance(10_000);
    expect(leases.every(({ state }) => state.status === "lost")).toBe(true);
  });

  it("waits longer after each stream that brings nothing, 1.5 s at most", async () => {
    const clock = new ManualClock();
    const transport = new ScriptedTransport();
    const opened: number[] = [];
    transport.opening = async () => {
      opened.push(clock.now());
      throw failure("network");
    };
    const leases = new Leases(transport, clock, fixedRandom(0.5));
    await leases.grant({ ttlSeconds: 60 });
    await clock.advance(4_000);
    expect(opened).toEqual([0, 500, 1_250, 2_000, 2_750, 3_500]);
    await leases.close();
    expect(clock.pending).toBe(0);
  });

  it("pauses for less and less as the end of a lease comes near, and keeps one that it can reach in time", async () => {
    const fixture = open({ random: fixedRandom(0.999) });
    const { clock, etcd } = fixture;
    const [lease] = await grantMany(fixture, 1, 15);
    await clock.advance(6_000);
    const { state } = lease as Lease;
    const deadline = state.status === "active" ? state.deadline : 0;
    etcd.cut();
    etcd.refuse();
    await clock.advance(deadline - clock.now() - 300);
    const times = etcd.callsOf("keepAlive").map(({ at }) => deadline - at);
    const pauses = times.slice(1).map((leftMs, index) => [leftMs, (times[index] ?? 0) - leftMs] as const);
    const late = pauses.filter(([leftMs]) => leftMs < 10_000);
    for (const [leftMs, pauseMs] of late)
      expect(pauseMs).toBeLessThanOrEqual(Math.max(200, (leftMs + pauseMs) / 8));
    expect(late.length, "and hammers nobody").toBeLessThan(40);
    etcd.accept();
    await clock.advance(1_000);
    expect(lease?.state.status).toBe("active");
  });

  it("keeps no stream without a lease, and opens one for the next", async () => {
    const fixture = open();
    const [lease] = await grantMany(fixture, 1);
    await fixture.clock.settle();
    expect(fixture.etcd.openStreams).toBe(1);
    lease?.release();
    const [next] = await grantMany(fixture, 1);
    await fixture.clock.advance(30_000);
    expect(next?.state.status).toBe("active");
    next?.release();
    await fixture.clock.settle();
    expect(fixture.etcd.openStreams).toBe(0);
    expect(suspects(fixture).every((suspect) => !suspect)).toBe(true);
  });

  it.each(["accept", "freeze", "kill"] as const)(
    "releases all leases when it is closed, and leaves neither stream nor timer (D19): %s",
    async (trouble) => {
      const fixture = open();
      const leases = await grantMany(fixture, 3);
      fixture.etcd[trouble]();
      await fixture.clock.advance(4_000);
      await fixture.client.leases.close();
      expect(leases.map(({ state }) => state.status)).toEqual(["released", "released", "released"]);
      expect(fixture.etcd.openStreams).toBe(0);
    },
  );

  it("asks again for one lease whose answer is missing while others are answered", async () => {
    const fixture = open();
    const { clock, etcd } = fixture;
    const leases = await grantMany(fixture, 20, 15);
    etcd.dropNextRequest("renew");
    await clock.advance(60_000);
    expect(leases.map(({ state }) => state.status)).toEqual(leases.map(() => "active"));
    expect(etcd.callsOf("keepAlive"), "on the same stream").toHaveLength(1);
  });

  /** Two leases on a stream that the test plays: `other` is always answered. */
  async function scripted({ ttlSeconds }: { readonly ttlSeconds: number }) {
    const clock = new ManualClock();
    const transport = new ScriptedTransport();
    const leases = new Leases(transport, clock, fixedRandom(0.5));
    const lease = await leases.grant({ ttlSeconds });
    const other = await leases.grant({ ttlSeconds: 600 });
    await clock.settle();
    const stream = transport.keepAliveStream;
    const answer = (ttl = ttlSeconds): void =>
      stream.say({ header: header(1), id: lease.id, ttlSeconds: ttl });
    /** Moves time in small steps, with a sign of life in each. */
    const alive = async (ms: number): Promise<void> => {
      for (let passed = 0; passed < ms; passed += 100) {
        await clock.advance(100);
        stream.say({ header: header(1), id: other.id, ttlSeconds: 600 });
      }
    };
    const asks = (): number => stream.sent.filter(({ id }) => id === lease.id).length;
    return { clock, transport, leases, lease, stream, answer, alive, asks };
  }

  it("counts each answer from the oldest request without one, also after it asked again (R10)", async () => {
    const { leases, lease, answer, alive, asks } = await scripted({ ttlSeconds: 15 });
    await alive(5_500);
    expect(asks(), "at 2.5 s and 5.5 s").toBe(2);
    answer();
    expect(lease.state).toEqual({ status: "active", deadline: 17_500 });
    await alive(2_000);
    expect(asks(), "at 7.5 s").toBe(3);
    answer();
    expect(lease.state, "the answer to the second").toEqual({ status: "active", deadline: 20_500 });
    answer();
    expect(lease.state, "the answer to the third").toEqual({ status: "active", deadline: 22_500 });
    await leases.close();
  });

  it("leaves a stream that leaves two requests for a lease unanswered, though others are answered", async () => {
    const { leases, stream, alive, asks } = await scripted({ ttlSeconds: 15 });
    await alive(8_400);
    expect([asks(), stream.canceled]).toEqual([2, undefined]);
    await alive(100);
    expect([asks(), stream.canceled]).toEqual([2, { suspect: true }]);
    await leases.close();
  });

  it("keeps a lease whose one answer was lost, each later one counting from the request before (R10)", async () => {
    const { clock, leases, lease, stream, answer, alive } = await scripted({ ttlSeconds: 15 });
    const asked: number[] = [];
    let seen = 0;
    for (let step = 0; step < 600; step += 1) {
      await alive(100);
      const all = stream.sent.filter(({ id }) => id === lease.id);
      for (; seen < all.length; seen += 1) {
        asked.push(clock.now());
        if (seen > 0) answer();
        const { state } = lease;
        const truth = (asked.at(-1) ?? 0) + 15_000;
        expect(state.status === "active" && state.deadline <= truth && state.deadline > clock.now()).toBe(
          true,
        );
      }
    }
    expect(stream.canceled).toBe(undefined);
    expect(asked.length, "no more than twice as often").toBeLessThanOrEqual(25);
    await leases.close();
  });

  it("does not count an answer from a request on an earlier stream", async () => {
    const { clock, transport, leases, lease, stream } = await scripted({ ttlSeconds: 15 });
    await clock.advance(2_500);
    stream.fail(failure("network"));
    await clock.advance(500);
    expect(transport.keepAliveStream.sent).toContainEqual({ id: lease.id });
    transport.keepAliveStream.say({ header: header(1), id: lease.id, ttlSeconds: 15 });
    expect(lease.state).toEqual({ status: "active", deadline: 18_000 });
    await leases.close();
  });

  it("does not take an answer for proof whose request is older than the TTL (R10, R14)", async () => {
    const { clock, leases, lease, answer, alive, asks } = await scripted({ ttlSeconds: 5 });
    await alive(1_000);
    expect(asks()).toBe(1);
    lease.release();
    await alive(7_000);
    const recovery = settled(leases.recover({ id: lease.id, ttlSeconds: 5 }));
    expect(asks()).toBe(2);
    answer();
    await clock.settle();
    expect(recovery.status).toBe("pending");
    answer();
    await clock.settle();
    expect(recovery.value?.state).toEqual({ status: "active", deadline: 13_000 });
    await leases.close();
  });

  it("believes that a lease is gone whichever request the answer belongs to (R14)", async () => {
    const { clock, leases, lease, answer, alive } = await scripted({ ttlSeconds: 5 });
    await alive(1_000);
    lease.release();
    await alive(7_000);
    const recovery = settled(leases.recover({ id: lease.id, ttlSeconds: 5 }));
    answer(0);
    await clock.settle();
    expect(recovery).toMatchObject({ status: "rejected", reason: { code: "SD_LEASE_LOST" } });
    await leases.close();
  });

  it("does not prove a recovered lease by an answer from before it was lost, against etcd's word (R14)", async () => {
    const { clock, leases, lease, stream, answer, alive } = await scripted({ ttlSeconds: 5 });
    await alive(900);
    answer();
    await clock.advance(1_400);
    lease.release();
    const recovery = settled(leases.recover({ id: lease.id, ttlSeconds: 5 }));
    answer(5);
    answer(0);
    await clock.settle();
    const state = recovery.value?.state ?? { status: "lost" };
    expect(state.status).toBe("lost");
    expect(stream.canceled).toBe(undefined);
    await leases.close();
  });

  it.each([0, 5_000])(
    "does not ask the same again of an etcd that is behind, on a connection made in %i ms",
    async (connectMs) => {
      const clock = new ManualClock();
      const transport = new ScriptedTransport();
      transport.roundTripMs = connectMs;
      const queue: LeaseId[] = [];
      transport.encode = (request) => void ("id" in request && queue.push(request.id));
      const leases = new Leases(transport, clock, new SeededRandom(1));
      const all = await Promise.all(Array.from({ length: 15 }, () => leases.grant({ ttlSeconds: 15 })));
      // Two and a half renewals a second, where three are due.
      for (let answers = 0; answers < 1_000; answers += 1) {
        await clock.advance(400);
        const id = queue.shift();
        if (id !== undefined) transport.keepAliveStream.say({ header: header(1), id, ttlSeconds: 15 });
        expect(queue.length).toBeLessThanOrEqual(all.length);
      }
      expect(all.map(({ state }) => state.status)).toEqual(all.map(() => "active"));
      expect(transport.keepAliveStreams).toHaveLength(1);
      await leases.close();
    },
  );

  it("leaves a stream to which a request cannot be written, and opens another after a pause", async () => {
    const clock = new ManualClock();
    const transport = new ScriptedTransport();
    transport.encode = () => {
      throw new Error("cannot be encoded");
    };
    const leases = new Leases(transport, clock, fixedRandom(0.5));
    await leases.grant({ ttlSeconds: 60 });
    await clock.advance(10_000);
    expect(transport.keepAliveStreams[0]?.canceled).toEqual({ suspect: false });
    await clock.advance(1_500);
    expect(transport.keepAliveStreams.length).toBeGreaterThan(1);
    expect(transport.keepAliveStreams.length).toBeLessThan(8);
    await leases.close();
    expect(transport.keepAliveStreams.every(({ isOver }) => isOver)).toBe(true);
    expect(clock.pending).toBe(0);
  });

  it("is slow to try again what only an operator can end, unless etcd grants a lease meanwhile", async () => {
    const clock = new ManualClock();
    const transport = new ScriptedTransport();
    const opened: number[] = [];
    transport.opening = async () => {
      opened.push(clock.now());
      throw failure("auth");
    };
    const leases = new Leases(transport, clock, fixedRandom(0.5));
    await leases.grant({ ttlSeconds: 600 });
    await clock.advance(70_000);
    expect(opened).toEqual([0, 30_000, 60_000]);
    await leases.grant({ ttlSeconds: 600 });
    await clock.settle();
    expect(opened).toEqual([0, 30_000, 60_000, 70_000]);
    await leases.close();
    expect(clock.pending).toBe(0);
  });
});

describe("KeepaliveHub, on a slow link", () => {
  interface Link {
    ttlSeconds: number;
    roundTripMs: number;
    /** What the connection is said to take. */
    connectMs?: number;
  }

  /** A lease on a stream whose every answer comes `roundTripMs` after its question. */
  async function far({ ttlSeconds, roundTripMs, connectMs = roundTripMs }: Link) {
    const clock = new ManualClock();
    const transport = new ScriptedTransport();
    transport.roundTripMs = connectMs;
    let isSilent = false;
    transport.encode = (request) => {
      if (!("id" in request)) return;
      const { keepAliveStreams } = transport;
      clock.setTimer(roundTripMs, () => {
        const stream = keepAliveStreams.at(-1);
        if (!isSilent && stream) stream.say({ header: header(1), id: request.id, ttlSeconds });
      });
    };
    const { grant } = transport;
    transport.grant = async (request) => {
      await sleep(clock, roundTripMs);
      return grant(request);
    };
    // The latest phase and the longest distance that chance may bring.
    const leases = new Leases(transport, clock, fixedRandom(0.99));
    const granted = leases.grant({ ttlSeconds });
    await clock.advance(roundTripMs);
    const lease = await granted;
    const silence = (): void => {
      isSilent = true;
    };
    return { clock, transport, leases, lease, silence };
  }

  it.each([
    { ttlSeconds: 15, roundTripMs: 4_000 },
    { ttlSeconds: 10, roundTripMs: 4_500 },
    { ttlSeconds: 5, roundTripMs: 2_000 },
    { ttlSeconds: 5, roundTripMs: 2_400 },
  ])("F32 latency: keeps a lease on one stream: %o", async ({ ttlSeconds, roundTripMs }) => {
    const { clock, transport, leases, lease } = await far({ ttlSeconds, roundTripMs });
    await clock.advance(600_000);
    expect(lease.state.status).toBe("active");
    expect(transport.keepAliveStreams).toHaveLength(1);
    const perTtl = (transport.keepAliveStream.sent.length * ttlSeconds) / 600;
    expect(perTtl, "renewals in a TTL").toBeGreaterThan(2.5);
    expect(perTtl, "renewals in a TTL").toBeLessThan(4.5);
    await leases.close();
  });

  it("F32 latency: leaves a stream that falls silent after the round trip and 3 s (R16)", async () => {
    const { clock, transport, leases, silence } = await far({ ttlSeconds: 30, roundTripMs: 2_000 });
    await clock.advance(60_000);
    const stream = transport.keepAliveStream;
    silence();
    await clock.advance(11_500 + 2_000 + 3_000 + 100);
    expect(stream.canceled).toEqual({ suspect: true });
    await leases.close();
  });

  it("takes a link for no slower than it is because the first answer was held up (R16)", async () => {
    const link = { ttlSeconds: 15, roundTripMs: 2_900, connectMs: 20 };
    const { clock, transport, leases, lease, silence } = await far(link);
    await clock.advance(4_950 + 2_900);
    const stream = transport.keepAliveStream;
    expect(lease.state).toMatchObject({ status: "active", deadline: 2_900 + 4_950 + 15_000 });
    silence();
    await clock.advance(10_000 - 2_900);
    expect(stream.canceled, "two thirds of a TTL later").toEqual({ suspect: true });
    await leases.close();
  });

  it("does not reckon with the link of the stream before (R16)", async () => {
    const { clock, transport, leases, silence } = await far({ ttlSeconds: 30, roundTripMs: 4_000 });
    await clock.advance(60_000);
    silence();
    transport.roundTripMs = 0;
    transport.keepAliveStream.fail(failure("network"));
    await clock.advance(2_000);
    const stream = transport.keepAliveStream;
    while (stream.sent.length === 0) await clock.advance(100);
    await clock.advance(3_100);
    expect(stream.canceled).toEqual({ suspect: true });
    await leases.close();
  });

  it("takes a connection that took long to be made for a fast one once it answers fast (R16)", async () => {
    const { clock, transport, leases, lease, silence } = await far({
      ttlSeconds: 6,
      roundTripMs: 20,
      connectMs: 5_000,
    });
    await clock.advance(20);
    const stream = transport.keepAliveStream;
    expect(stream.sent).toHaveLength(1);
    silence();
    await clock.advance(3_900);
    expect(stream.sent, "renewals that no answer has called for").toHaveLength(2);
    expect(stream.canceled).toBe(undefined);
    await clock.advance(200);
    expect(stream.canceled).toEqual({ suspect: true });
    expect(lease.state.status).toBe("active");
    await leases.close();
  });
});
