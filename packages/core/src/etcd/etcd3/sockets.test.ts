import { AsyncResource } from "node:async_hooks";
import { connect, createServer, type Server, type Socket } from "node:net";
import { ManualClock } from "@sd/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Sockets } from "./sockets.js";

/** What Node 20 and 22 hang on everything asynchronous that is made in a context. */
const marks = (): number => Object.getOwnPropertySymbols(new AsyncResource("probe")).length;

const LATE_MS = 700;

describe("Sockets", () => {
  let server: Server;
  let port = 0;
  let clock: ManualClock;

  beforeEach(async () => {
    clock = new ManualClock();
    server = createServer((socket) => socket.on("error", () => {}));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    if (typeof address === "object" && address) port = address.port;
  });

  afterEach(async () => {
    await clock.advance(LATE_MS);
    await new Promise((resolve) => server.close(resolve));
  });

  const open = (): Socket => connect(port, "127.0.0.1").on("error", () => {});

  it("closes what was opened for it, at once or later", async () => {
    const sockets = new Sockets(clock, LATE_MS);
    const opened: Promise<Socket>[] = [];
    sockets.run(() => {
      opened.push(Promise.resolve(open()), new Promise((resolve) => setImmediate(() => resolve(open()))));
    });
    const all = await Promise.all(opened);
    await sockets.close(() => {});
    expect(all.map(({ destroyed }) => destroyed)).toEqual([true, true]);
  });

  it("closes what is opened long after it was closed, each time for as long again", async () => {
    const sockets = new Sockets(clock, LATE_MS);
    const late: (() => Socket)[] = [];
    let lateTries = 0;
    sockets.run(() => {
      late.push(AsyncResource.bind(open), AsyncResource.bind(open));
    });
    await sockets.close(() => {
      lateTries += 1;
    });
    for (const openLate of late) {
      await clock.advance(LATE_MS - 1);
      const socket = openLate();
      await new Promise((resolve) => socket.once("close", resolve));
    }
    expect(lateTries).toBe(2);
    await clock.advance(LATE_MS);
    expect(clock.pending).toBe(0);
  });

  const isMarking = Number.parseInt(process.versions.node, 10) < 24;

  // Not from Node 24 on: its contexts cost nothing and hang nothing on anybody, so there is nothing to see.
  it.runIf(isMarking)("costs nothing more once all are complete, or closed for a while", async () => {
    const complete = new Sockets(clock, LATE_MS);
    const closed = new Sockets(clock, LATE_MS);
    const before = marks();
    complete.run(() => {});
    closed.run(() => {});
    const inUse = marks();
    await closed.close(() => {});
    complete.complete();
    const late = marks();
    await clock.advance(LATE_MS);
    expect([inUse, late, marks()]).toEqual([before + 1, before + 1, before]);
  });
});
