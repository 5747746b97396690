import { describe, expect, it } from "vitest";
import { message, ScriptedStream } from "../../../test/scripted-transport.js";
import type { WatchRequest, WatchResponse } from "../types.js";
import { WatchIds } from "./watch-ids.js";

const key = new Uint8Array([1]);
const create = (watchId: number): WatchRequest => ({ type: "create", watchId, key, startRevision: 1 });
const cancel = (watchId: number): WatchRequest => ({ type: "cancel", watchId });

const created = (watchId: number): WatchResponse => message(watchId, 1, { created: true });

function open() {
  const seen: WatchResponse[] = [];
  const stream = new ScriptedStream<WatchRequest, WatchResponse>(
    { onMessage: (response) => seen.push(ids.translate(response)), onEnd: () => {} },
    () => {},
    0,
  );
  const ids = new WatchIds(stream);
  return { ids, stream, seen: () => seen.map(({ watchId }) => watchId) };
}

describe("watch ids", () => {
  it("are ours when etcd takes them", () => {
    const { ids, stream, seen } = open();
    ids.send(create(5));
    ids.send(create(6));
    ids.send(cancel(5));
    expect(stream.sent, "held until the first answer").toHaveLength(2);
    for (const watchId of [5, 6, 6]) stream.say(created(watchId));
    expect(seen()).toEqual([5, 6, 6]);
    expect(stream.sent[2]).toEqual(cancel(5));
  });

  it("are translated when a proxy numbers from 0, also where the numbers meet (F38)", () => {
    const { ids, stream, seen } = open();
    ids.send(create(1));
    ids.send(create(2));
    ids.send(cancel(1));
    for (const watchId of [0, 1]) stream.say(created(watchId));
    ids.send(create(3));
    ids.send(cancel(3));
    for (const watchId of [2, 1, 0]) stream.say(created(watchId));
    expect(seen()).toEqual([1, 2, 3, 2, 1]);
    expect(stream.sent.filter(({ type }) => type === "cancel")).toEqual([cancel(0), cancel(2)]);
  });

  it("are found though answers come out of order", () => {
    const { ids, stream, seen } = open();
    for (const watchId of [7, 8, 9]) ids.send(create(watchId));
    for (const watchId of [2, 0, 1]) stream.say(created(watchId));
    expect(seen()).toEqual([9, 7, 8]);
  });

  it("are not given to what follows a cancellation, nor taken by a refusal", () => {
    const { ids, stream, seen } = open();
    ids.send(create(7));
    ids.send(create(8));
    stream.say({ ...created(-1), canceled: true });
    stream.say(created(0));
    stream.say({ ...created(0), created: false, canceled: true });
    stream.say({ ...created(0), created: false });
    expect(seen()).toEqual([-1, 8, 8, 0]);
  });
});
