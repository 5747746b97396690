import { fixedRandom, ManualClock } from "@sd/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { type ClientFixture, openClient } from "../../test/client-fixture.js";
import { bytes } from "../../test/observe.js";
import { RecordingStore } from "../../test/recorders.js";
import { event, failure, header, message, ScriptedTransport } from "../../test/scripted-transport.js";
import type { RangeResponse } from "../etcd/types.js";
import { type Deferred, deferred } from "../kit/deferred.js";
import { prefixRange } from "./key-range.js";
import { Reflector } from "./reflector.js";
import { WatchHub } from "./watch-hub.js";

const range = prefixRange(bytes("/web/"));

describe("A reflector of a wiped etcd", () => {
  let fixture: ClientFixture;
  let store: RecordingStore;
  let reflector: Reflector;
  beforeEach(async () => {
    fixture = openClient();
    store = new RecordingStore();
    for (const name of ["a", "b", "c"]) fixture.etcd.put(`/web/${name}`, "1");
    reflector = new Reflector(fixture.client, { range, store });
    fixture.client.attach(reflector);
    await fixture.clock.settle();
    return () => fixture.end();
  });

  it("lists again with a new epoch, after a second look 3 s later (D8)", async () => {
    const { clock, etcd } = fixture;
    etcd.wipe();
    etcd.put("/web/z", "9");
    await clock.advance(2_999);
    expect(store.calls).toEqual(["replace 3 -> 4"]);
    expect(reflector.state.status).toBe("stale");
    await clock.advance(5_000);
    expect(store.calls).toEqual(["replace 3 -> 4", "replace 1 -> 2"]);
    expect(store.position).toEqual({ revision: 2, epoch: 2 });
    expect(reflector.state.status).toBe("live");
    etcd.put("/web/y", "9");
    await clock.settle();
    expect(store.position).toEqual({ revision: 3, epoch: 2 });
  });

  it("lists again with a new epoch when another cluster is compacted beyond us (D8)", async () => {
    const { clock, etcd } = fixture;
    etcd.wipe({ newCluster: true });
    for (let i = 0; i < 20; i += 1) etcd.put("/web/z", `${i}`);
    etcd.compact(etcd.revision);
    await clock.advance(5_000);
    expect(store.position).toEqual({ revision: 21, epoch: 2 });
    expect(store.content).toEqual({ "/web/z": "19" });
  });
});

describe("A reflector that lists below its revision", () => {
  it("takes the second look on another member, 3 s later, and goes on if it is not confirmed (D8)", async () => {
    const looks: { at: number; elsewhere: boolean; isList: boolean }[] = [];
    const fixture = openClient({
      wrap: (transport) => {
        const range = transport.range.bind(transport);
        return Object.assign(transport, {
          range: async (...args: Parameters<typeof range>) => {
            const [{ keysOnly, countOnly }, { elsewhere = false } = {}] = args;
            looks.push({ at: fixture.clock.now(), elsewhere, isList: !keysOnly && !countOnly });
            const answer = await range(...args);
            // One member was paused, and answers from the past (etcd #20418).
            if (elsewhere || looks.length === 1) return answer;
            return { ...answer, kvs: [], count: 0, header: { ...answer.header, revision: 1 } };
          },
        });
      },
    });
    const { etcd, clock, client } = fixture;
    const store = new RecordingStore();
    etcd.put("/web/a", "1");
    const reflector = new Reflector(client, { range, store });
    client.attach(reflector);
    await clock.settle();
    etcd.cut();
    etcd.put("/web/b", "1");
    etcd.compact(etcd.revision);
    await clock.advance(8_000);
    expect(store.content).toEqual({ "/web/a": "1", "/web/b": "1" });
    expect([store.position?.epoch, reflector.state.status]).toEqual([1, "live"]);
    const [, first, second] = looks.filter(({ isList }) => isList);
    expect([first?.elsewhere, second?.elsewhere]).toEqual([false, true]);
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBe(3_000);
    await fixture.end();
  });
});

describe("A reflector whose member is behind", () => {
  let clock: ManualClock;
  let transport: ScriptedTransport;
  let store: RecordingStore;
  let reflector: Reflector;
  let read: Deferred<RangeResponse>;

  const answer = (revision: number): RangeResponse => ({
    header: header(revision),
    kvs: [],
    more: false,
    count: 0,
  });

  /** A reflector at revision 10, on a member that says it is at 5, with a read under way. */
  beforeEach(async () => {
    clock = new ManualClock();
    transport = new ScriptedTransport();
    store = new RecordingStore();
    transport.range = () => {
      read = deferred();
      return read.promise;
    };
    const random = fixedRandom(0.5);
    const watches = new WatchHub(transport, clock, random);
    reflector = new Reflector({ transport, watches, clock, random }, { range, store, revision: 10 });
    await clock.settle();
    transport.watchStream.say(message(0, 5, { created: true }));
    return async () => {
      const closing = reflector.close();
      read.reject(new Error("closed"));
      await closing;
      await watches.close();
      expect(clock.pending).toBe(0);
    };
  });

  it("goes on when a read through the leader has been where it stands (D8)", async () => {
    expect(reflector.state.status).toBe("syncing");
    read.resolve(answer(12));
    await clock.settle();
    expect(reflector.state.status).toBe("live");
    transport.watchStream.say(message(0, 11, { events: [event("/web/a", 11, "x")] }));
    expect(store.calls).toEqual(["apply 1 -> 11"]);
  });

  it("is not live by a read that is answered after the stream broke", async () => {
    transport.watchStream.fail(failure("network"));
    await clock.settle();
    read.resolve(answer(12));
    await clock.settle();
    expect(reflector.state.status).toBe("syncing");
    await clock.advance(1_000);
    transport.watchStream.say(message(0, 12, { created: true }));
    expect(reflector.state.status).toBe("live");
  });

  it("is not live by a read that is answered after the watch ended", async () => {
    transport.watchStream.say(message(0, 0, { canceled: true, compactRevision: 20 }));
    read.resolve(answer(12));
    await clock.settle();
    expect(reflector.state.status).toBe("syncing");
  });

  it("is not live while it looks whether the history is another one", async () => {
    read.resolve(answer(12));
    await clock.settle();
    expect(reflector.state.status).toBe("live");
    // Progress of an etcd that was wiped meanwhile.
    transport.watchStream.say(message(0, 5));
    read.resolve(answer(5));
    await clock.settle();
    expect(reflector.state.status).toBe("stale");
    await clock.advance(60_000);
    expect(reflector.state.status, "the list hangs").toBe("stale");
  });

  it("stays closed when the read is answered in the moment of closing (D19)", async () => {
    read.resolve(answer(12));
    const closing = reflector.close();
    await clock.settle();
    await closing;
    expect(reflector.state.status).toBe("closed");
  });
});
