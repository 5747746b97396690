import { beforeEach, describe, expect, it } from "vitest";
import { isHealthy } from "../src/etcd/health.js";
import { EtcdProcess, FaultProxy } from "../src/index.js";
import { moment, ProxiedEcho, until } from "./proxied-echo.js";

let echo: ProxiedEcho;
let proxy: FaultProxy;

beforeEach(async () => {
  echo = await ProxiedEcho.start();
  ({ proxy } = echo);
  return () => echo.end();
});

describe("FaultProxy", () => {
  it("forwards both ways and hands on the end of a connection", async () => {
    const { socket, received, ended } = await echo.open();
    const text = "x".repeat(3_000_000);
    socket.write(text);
    await until(() => received().length === text.length);
    expect([proxy.connections, proxy.accepted]).toEqual([1, 1]);
    socket.end();
    await until(() => ended() && echo.target.ends === 1);
    await until(() => proxy.connections === 0);
  });

  it("refuses new connections and keeps open ones", async () => {
    const old = await echo.open();
    proxy.refuse();
    expect(await echo.begin().closed).toBe("ECONNRESET");
    old.socket.write("still");
    await until(() => old.received() === "still");
    proxy.pass();
    const next = await echo.open();
    next.socket.write("again");
    await until(() => next.received() === "again");
    expect(proxy.accepted).toBe(3);
  });

  it("resets all connections on both sides", async () => {
    const all = [await echo.open(), await echo.open()];
    for (const { socket } of all) socket.write("x");
    // libuv takes a reset that it finds right behind bytes for the end of the stream, which leaves a client open.
    await until(() => all.every(({ received }) => received() === "x"));
    proxy.reset();
    expect(await Promise.all(all.map(({ closed }) => closed))).toEqual(["ECONNRESET", "ECONNRESET"]);
    await until(() => echo.target.resets === 2);
    expect(proxy.connections).toBe(0);
  });

  it("resets after exactly so many bytes", async () => {
    for (const bytes of [0, 1, 7, 10]) {
      const { socket, received, closed } = await echo.open();
      proxy.resetAfterBytes(bytes);
      socket.write("01234");
      await until(() => bytes < 5 || received() === "01234");
      socket.write("56789");
      expect(await closed).toBe("ECONNRESET");
      expect(received()).toBe("0123456789".slice(0, bytes));
    }
    const { socket, received } = await echo.open();
    socket.write("once only");
    await until(() => received() === "once only");
    echo.target = { received: "", ends: 0, resets: 0 };
    proxy.resetAfterBytes(3, "up");
    socket.write("abcdef");
    await until(() => echo.target.resets === 1);
    expect(echo.target.received).toBe("abc");
  });

  it("black-holes one direction or both, ends included, and then forwards only what is new", async () => {
    const { socket, received } = await echo.open();
    socket.write("a");
    await until(() => received() === "a");
    proxy.blackhole("down");
    socket.write("b");
    await until(() => echo.target.received === "ab");
    proxy.blackhole("up");
    socket.write("c");
    await moment();
    proxy.pass();
    socket.write("d");
    await until(() => received() === "ad");
    expect(echo.target.received).toBe("abd");
    proxy.blackhole();
    socket.destroy();
    await moment();
    expect([echo.target.ends, echo.target.resets, proxy.connections]).toEqual([0, 0, 1]);
  });

  it("delays every chunk and keeps the order", async () => {
    const { socket, received } = await echo.open();
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
    const { socket, received, chunks } = await echo.open();
    proxy.slice();
    socket.write("0123456789");
    await until(() => received() === "0123456789");
    expect(chunks()).toBeGreaterThan(5);
  });

  it("keeps what it has taken into the tarpit until it is reset", async () => {
    proxy.tarpit();
    const stuck = await echo.open();
    stuck.socket.write("hello?");
    await moment();
    expect([stuck.received(), echo.target.received]).toEqual(["", ""]);
    proxy.pass();
    const next = await echo.open();
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
    const [first, second] = [await echo.open(), await echo.open()];
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
    echo.stop();
    expect(await echo.begin().closed).toBe("ECONNRESET");
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
