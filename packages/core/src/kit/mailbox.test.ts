import { getEventListeners } from "node:events";
import { ManualClock } from "@sd/testing";
import { describe, expect, it, vi } from "vitest";
import { settled } from "../../test/observe.js";
import { Mailbox, newestOnly, type Queue } from "./mailbox.js";

function everything<T>(): Queue<T> {
  const items: T[] = [];
  return { put: (item) => items.push(item), take: () => items.shift(), clear: () => items.splice(0) };
}

async function readAll<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

describe("Mailbox", () => {
  it("gives its reader what the queue has kept, then ends after `close()`", async () => {
    const box = new Mailbox<number>(everything());
    box.put(1);
    box.put(2);
    box.close();
    box.put(3);
    expect(await readAll(box.read())).toEqual([1, 2]);
  });

  it("loses for a slow reader all but the newest, if the queue keeps only that", async () => {
    const box = new Mailbox<number>(newestOnly());
    for (const item of [1, 2, 3]) box.put(item);
    box.close();
    expect(await readAll(box.read())).toEqual([3]);
  });

  it("wakes a reader that waits", async () => {
    const clock = new ManualClock();
    const box = new Mailbox<number>(newestOnly());
    const next = settled(box.read().next());
    await clock.settle();
    expect(next.status).toBe("pending");
    box.put(1);
    await clock.settle();
    expect(next.value).toEqual({ done: false, value: 1 });
  });

  it("ends for a reader that waits, when it is closed", async () => {
    const box = new Mailbox<number>(newestOnly());
    const next = box.read().next();
    box.close();
    expect(await next).toEqual({ done: true, value: undefined });
  });

  it("throws the signal's reason, drops what is left, and leaves no listener", async () => {
    const controller = new AbortController();
    const onEnd = vi.fn();
    const box = new Mailbox<number>(newestOnly(), onEnd);
    const reading = box.read(controller.signal);
    const next = settled(reading.next());
    controller.abort("stop");
    await new ManualClock().settle();
    expect(next).toMatchObject({ status: "rejected", reason: "stop" });
    expect(getEventListeners(controller.signal, "abort")).toEqual([]);
    expect(onEnd).toHaveBeenCalledTimes(1);
  });

  it("is released by an abort at once, though nobody reads on", () => {
    const controller = new AbortController();
    const onEnd = vi.fn();
    const queue = everything<number>();
    const box = new Mailbox<number>(queue, onEnd);
    const reading = box.read(controller.signal);
    box.put(1);
    controller.abort("stop");
    expect(onEnd).toHaveBeenCalledTimes(1);
    box.put(2);
    expect(queue.take()).toBe(undefined);
    expect(getEventListeners(controller.signal, "abort")).toEqual([]);
    return expect(reading.next()).rejects.toBe("stop");
  });

  it("leaves no listener on the signal of a reading that was closed, read on or not", async () => {
    const { signal } = new AbortController();
    const box = new Mailbox<number>(everything());
    const reading = box.read(signal);
    box.put(1);
    box.close();
    expect(getEventListeners(signal, "abort")).toEqual([]);
    expect(await readAll(reading)).toEqual([1]);
    box.read(signal);
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });

  it("throws at once on a signal that has aborted, though the queue holds something", async () => {
    const box = new Mailbox<number>(newestOnly());
    box.put(1);
    await expect(box.read(AbortSignal.abort("before")).next()).rejects.toBe("before");
  });

  it("tells once that its reader has gone, and takes nothing more in", async () => {
    const onEnd = vi.fn();
    const queue = everything<number>();
    const box = new Mailbox<number>(queue, onEnd);
    const { signal } = new AbortController();
    box.put(1);
    box.put(2);
    for await (const item of box.read(signal)) {
      expect(item).toBe(1);
      break;
    }
    box.put(3);
    box.close();
    expect(onEnd).toHaveBeenCalledTimes(1);
    expect(queue.take()).toBe(undefined);
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });

  it("ends the waiting `next()` too when the reading is given back", async () => {
    const reading = new Mailbox<number>(newestOnly()).read();
    const next = reading.next();
    await reading.return?.();
    expect(await next).toEqual({ done: true, value: undefined });
  });
});
