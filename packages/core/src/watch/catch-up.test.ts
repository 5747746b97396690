import { beforeEach, describe, expect, it } from "vitest";
import { type ClientFixture, openClient } from "../../test/client-fixture.js";
import { bytes, text } from "../../test/observe.js";
import { RecordingSink } from "../../test/recorders.js";
import { prefixRange } from "./key-range.js";
import { Watch } from "./watch.js";

let fixture: ClientFixture;
let sink: RecordingSink;
beforeEach(() => {
  fixture = openClient();
  sink = new RecordingSink();
  return () => fixture.end();
});

const watchFrom = (revision: number) =>
  new Watch(fixture.client.watches, prefixRange(bytes("/web/")), revision, sink);
const delivered = () => sink.events.map(({ type, kv }) => `${type} ${text(kv.key)}@${kv.modRevision}`);
const happened = () => fixture.etcd.events.map(({ type, kv }) => `${type} ${text(kv.key)}@${kv.modRevision}`);

/** A history of `count` revisions: puts, and now and then a delete. */
function write(count: number): void {
  for (let i = 0; i < count; i += 1) {
    if (i % 7 === 6) fixture.etcd.delete(`/web/${i - 1}`);
    else fixture.etcd.put(`/web/${i}`, "x");
  }
}

describe("A watch that catches up", () => {
  it("delivers every event once and in order, though the stream is cut after each batch (D3, D6)", async () => {
    const { clock, etcd } = fixture;
    write(6_000);
    etcd.holdWatchEvents();
    const watch = watchFrom(1);
    for (let batches = 1; batches <= 6; batches += 1) {
      await clock.advance(450);
      expect(etcd.heldWatchMessages).toBe(7 - batches);
      etcd.releaseWatchEvents(1);
      await clock.settle();
      expect(watch.revision, "not the header's 6001").toBe(1 + batches * 1_000);
      etcd.cut();
    }
    await clock.advance(600);
    expect(delivered()).toEqual(happened());
    expect(delivered()).toHaveLength(6_000);
    expect(etcd.callsOf("watch")).toHaveLength(7);
    watch[Symbol.dispose]();
  });

  it("loses nothing when the stream is cut right after `created` (D6)", async () => {
    const { clock, etcd } = fixture;
    write(3_000);
    etcd.holdWatchEvents();
    const watch = watchFrom(1);
    await clock.advance(600);
    expect(sink.log).toEqual(["created"]);
    etcd.cut();
    etcd.releaseWatchEvents();
    await clock.advance(600);
    expect(delivered()).toEqual(happened());
    watch[Symbol.dispose]();
  });

  it("goes over to what happens now without a gap (D3)", async () => {
    const { clock, etcd } = fixture;
    write(1_500);
    const watch = watchFrom(1);
    await clock.advance(0);
    for (let round = 0; round < 20; round += 1) {
      write(100);
      if (round % 5 === 4) etcd.cut();
      await clock.advance(100);
    }
    await clock.advance(1_000);
    expect(delivered()).toEqual(happened());
    watch[Symbol.dispose]();
  });

  it("shows all changes of one revision at once (D4)", async () => {
    const { clock, etcd, client } = fixture;
    const lease = await client.leases.grant({ ttlSeconds: 15 });
    const watch = watchFrom(1);
    await clock.settle();
    for (const name of ["a", "b", "c"]) etcd.put(`/web/${name}`, "x", { lease: lease.id });
    etcd.revokeLease(lease.id);
    await clock.settle();
    expect(sink.log.at(-1)).toBe("delete /web/a@5, delete /web/b@5, delete /web/c@5 -> 5");
    watch[Symbol.dispose]();
  });

  it("ends with a gap when its next revision is compacted (D7)", async () => {
    const { clock, etcd } = fixture;
    write(100);
    etcd.compact(50);
    watchFrom(10);
    await clock.advance(1_000);
    expect(sink.log).toEqual(["created", "gap compacted"]);
    expect(etcd.openStreams).toBe(0);
  });
});
