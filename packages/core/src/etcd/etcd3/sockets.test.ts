import { AsyncResource } from "node:async_hooks";
import { connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Sockets } from "./sockets.js";

/** What Node 20 and 22 hang on everything asynchronous that is made in a context. */
const marks = (): readonly symbol[] => Object.getOwnPropertySymbols(new AsyncResource("probe"));

describe("Sockets", () => {
  let server: Server;
  let port = 0;

  beforeEach(async () => {
    server = createServer((socket) => socket.on("error", () => {}));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    if (typeof address === "object" && address) port = address.port;
  });

  afterEach(() => new Promise((resolve) => server.close(resolve)));

  const open = (): Socket => connect(port, "127.0.0.1").on("error", () => {});

  it("closes what was opened for it, at once or later", async () => {
    const sockets = new Sockets();
    const opened: Promise<Socket>[] = [];
    sockets.run(() => {
      opened.push(Promise.resolve(open()), new Promise((resolve) => setImmediate(() => resolve(open()))));
    });
    const all = await Promise.all(opened);
    await sockets.close(() => {});
    expect(all.map(({ destroyed }) => destroyed)).toEqual([true, true]);
  });

  it("closes what is opened in the two rounds after it was closed", async () => {
    const sockets = new Sockets();
    let late: Promise<Socket> | undefined;
    let lateTries = 0;
    sockets.run(() => {
      late = new Promise((resolve) => setImmediate(() => setImmediate(() => resolve(open()))));
    });
    await sockets.close(() => {
      lateTries += 1;
    });
    const socket = await late;
    await new Promise((resolve) => socket?.once("close", resolve));
    expect(lateTries).toBe(1);
  });

  // Newer ones have contexts that cost nothing, and that hang nothing on anybody.
  const isMarking = Number.parseInt(process.versions.node, 10) < 24;

  it.runIf(isMarking)("costs nothing more once all are complete or closed", async () => {
    const complete = new Sockets();
    const closed = new Sockets();
    const during: number[] = [];
    const after: Promise<number>[] = [];
    const look = (): void => {
      during.push(marks().length);
      after.push(afterTenRounds().then(() => marks().length));
    };
    complete.run(look);
    closed.run(look);
    complete.complete();
    await closed.close(() => {});
    const [inUse = 0] = during;
    expect(during).toEqual([inUse, inUse]);
    expect(await Promise.all(after)).toEqual([inUse - 1, inUse - 1]);
  });
});

async function afterTenRounds(): Promise<void> {
  for (let round = 0; round < 10; round += 1) await new Promise((resolve) => setImmediate(resolve));
}
