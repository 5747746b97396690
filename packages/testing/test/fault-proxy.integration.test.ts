import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { beforeEach, describe, expect, it } from "vitest";
import { isHealthy } from "../src/etcd/health.js";
import { EtcdProcess, eventually, FaultProxy, leakCheck } from "../src/index.js";

interface Client {
  readonly socket: Socket;
  readonly received: () => string;
  readonly chunks: () => number;
  readonly ended: () => boolean;
  /** The code of the error with which it ended. */
  readonly closed: Promise<string | undefined>;
}

let echo: Server;
let proxy: FaultProxy;
let clients: Socket[];
/** What the target has received and how often it saw an end or a reset. */
let target: { received: string; ends: number; resets: number };

beforeEach(async () => {
  const check = leakCheck();
  target = { received: "", ends: 0, resets: 0 };
  clients = [];
  const accepted = new Set<Socket>();
  echo = createServer({ noDelay: true }, (socket) => {
    accepted.add(socket);
    socket.on("data", (chunk) => {
      target.received += chunk.toString();
      socket.write(chunk);
    });
    socket.on("end", () => {
      target.ends += 1;
    });
    socket.on("error", () => {
      target.resets += 1;
    });
  }).listen(0, "127.0.0.1");
  await once(echo, "listening");
  const address = echo.address();
  proxy = await FaultProxy.start({
    target: `http://127.0.0.1:${typeof address === "object" && address ? address.port : 0}`,
  });
  return async () => {
    await proxy[Symbol.asyncDispose]();
    await proxy[Symbol.asyncDispose]();
    for (const socket of [...clients, ...accepted]) socket.destroy();
    echo.close();
    await check.assertClean();
  };
});

async function open(): Promise<Client> {
  const client = begin();
  await once(client.socket, "connect");
  return client;
}

function begin(): Client {
  const socket = connect(Number(new URL(proxy.endpoint).port), "127.0.0.1");
  clients.push(socket);
  let received = "";
  let chunks = 0;
  let ended = false;
  let code: string | undefined;
  socket.on("data", (chunk) => {
    received += chunk.toString();
    chunks += 1;
  });
  socket.on("end", () => {
    ended = true;
  });
  socket.on("error", (error: NodeJS.ErrnoException) => {
    code = error.code;
  });
  const closed = new Promise<string | undefined>((resolve) => socket.on("close", () => resolve(code)));
  return { socket, received: () => received, chunks: () => chunks, ended: () => ended, closed };
}

const until = (condition: () => boolean) => eventually(condition, { everyMs: 2 });
const moment = () => new Promise((resolve) => setTimeout(resolve, 60));

describe("FaultProxy", () => {
  it("forwards both ways and hands on the end of a connection", async () => {
    const { socket, received, ended } = await open();
    const text = "x".repeat(3_000_000);
    socket.write(text);
    await until(() => received().length === text.length);
    expect([proxy.connections, proxy.accepted]).toEqual([1, 1]);
    socket.end();
    await until(() => ended() && target.ends === 1);
    await until(() => proxy.connections === 0);
  });

  it("refuses new connections and keeps open ones", async () => {
    const old = await open();
    proxy.refuse();
    expect(await begin().closed).toBe("ECONNRESET");
    old.socket.write("still");
    await until(() => old.received() === "still");
    proxy.pass();
    const next = await open();
    next.socket.write("again");
    await until(() => next.received() === "again");
    expect(proxy.accepted).toBe(3);
  });

  it("resets all connections on both sides", async () => {
    const all = [await open(), await open()];
    for (const { socket } of all) socket.write("x");
    await until(() => target.received === "xx");
    proxy.reset();
    expect(await Promise.all(all.map(({ closed }) => closed))).toEqual(["ECONNRESET", "ECONNRESET"]);
    await until(() => target.resets === 2);
    expect(proxy.connections).toBe(0);
  });

  it("resets after exactly so many bytes", async () => {
    for (const bytes of [0, 1, 7, 10]) {
      const { socket, received, closed } = await open();
      proxy.resetAfterBytes(bytes);
      socket.write("01234");
      await until(() => bytes < 5 || received() === "01234");
      socket.write("56789");
      expect(await closed).toBe("ECONNRESET");
      expect(received()).toBe("0123456789".slice(0, bytes));
    }
    const { socket, received } = await open();
    socket.write("once only");
    await until(() => received() === "once only");
    target = { received: "", ends: 0, resets: 0 };
    proxy.resetAfterBytes(3, "up");
    socket.write("abcdef");
    await until(() => target.resets === 1);
    expect(target.received).toBe("abc");
  });

  it("black-holes one direction or both, ends included, and then forwards only what is new", async () => {
    const { socket, received } = await open();
    socket.write("a");
    await until(() => received() === "a");
    proxy.blackhole("down");
    socket.write("b");
    await until(() => target.received === "ab");
    proxy.blackhole("up");
    socket.write("c");
    await moment();
    proxy.pass();
    socket.write("d");
    await until(() => received() === "ad");
    expect(target.received).toBe("abd");
    proxy.blackhole();
    socket.destroy();
    await moment();
    expect([target.ends, target.resets, proxy.connections]).toEqual([0, 0, 1]);
  });

  it("delays every chunk and keeps the order", async () => {
    const { socket, received } = await open();
    proxy.delay(80, "down");
    const before = performance.now();
    for (const text of ["a", "b", "c"]) {
      socket.write(text);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await until(() => received() === "abc");
    expect(performance.now() - before).toBeGreaterThanOrEqual(79);
    expect(performance.now() - before).toBeLessThan(400);
  });

  it("slices into single bytes", async () => {
    const { socket, received, chunks } = await open();
    proxy.slice();
    socket.write("0123456789");
    await until(() => received() === "0123456789");
    expect(chunks()).toBeGreaterThan(5);
  });

  it("keeps what it has taken into the tarpit until it is reset", async () => {
    proxy.tarpit();
    const stuck = await open();
    stuck.socket.write("hello?");
    await moment();
    expect([stuck.received(), target.received]).toEqual(["", ""]);
    proxy.pass();
    const next = await open();
    next.socket.write("x");
    await until(() => next.received() === "x");
    stuck.socket.write("still there?");
    await moment();
    expect([stuck.received(), proxy.connections]).toEqual(["", 2]);
    proxy.reset();
    expect(await stuck.closed).toBe("ECONNRESET");
  });

  it("shows what comes down and cuts where it is told", async () => {
    const seen: string[] = [];
    const hook = proxy.onDownstream((chunk, connection) => {
      const text = Buffer.from(chunk).toString();
      seen.push(`${connection.id}:${text}`);
      const at = text.indexOf("!");
      if (at >= 0) connection.cutAt(at);
    });
    const [first, second] = [await open(), await open()];
    first.socket.write("hi");
    await until(() => first.received() === "hi");
    second.socket.write("ab!cd");
    expect(await second.closed).toBe("ECONNRESET");
    expect(second.received()).toBe("ab");
    expect(seen).toEqual(["1:hi", "2:ab!cd"]);
    hook[Symbol.dispose]();
    first.socket.write("!");
    await until(() => first.received() === "hi!");
  });

  it("resets a client whose target is down", async () => {
    echo.close();
    expect(await begin().closed).toBe("ECONNRESET");
  });
});

describe("FaultProxy before a real etcd", () => {
  it("serves through the proxy, and not while it is black-holed", async () => {
    await using etcd = await EtcdProcess.start();
    await using front = await FaultProxy.start({ target: etcd.endpoint });
    expect(await isHealthy(front.endpoint)).toBe(true);
    front.blackhole("up");
    expect(await isHealthy(front.endpoint, 300)).toBe(false);
    front.pass();
    expect(await isHealthy(front.endpoint)).toBe(true);
  });
});
