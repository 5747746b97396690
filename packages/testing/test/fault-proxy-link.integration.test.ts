import { beforeEach, describe, expect, it } from "vitest";
import { FaultProxy, SeededRandom } from "../src/index.js";
import { moment, ProxiedEcho, until } from "./proxied-echo.js";

let echo: ProxiedEcho;
let proxy: FaultProxy;

beforeEach(async () => {
  echo = await ProxiedEcho.start();
  ({ proxy } = echo);
  return () => echo.end();
});

describe("FaultProxy.limitBandwidth", () => {
  it("forwards one direction no faster than that, all connections together", async () => {
    proxy.limitBandwidth(100_000, "down");
    const all = [await echo.open(), await echo.open()];
    const text = "x".repeat(20_000);
    const startedAt = performance.now();
    for (const { socket } of all) socket.write(text);
    await until(() => echo.target.received.length === 40_000);
    expect(all.some(({ received }) => received() === text)).toBe(false);
    await until(() => all.every(({ received }) => received() === text));
    // 400 ms, less the 50 that a rested link may send at once.
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(340);
  });

  it("keeps the rate that it is told, and forwards the rest at once after pass()", async () => {
    const { socket, received } = await echo.open();
    proxy.limitBandwidth(10_000, "up");
    const startedAt = performance.now();
    socket.write("x".repeat(1_000_000));
    await until(() => echo.target.received.length >= 3_000);
    const rate = (echo.target.received.length - 500) / ((performance.now() - startedAt) / 1_000);
    expect(rate).toBeLessThan(11_000);
    proxy.pass();
    await until(() => received().length === 1_000_000);
  });

  it("brings the end of a connection after its last byte", async () => {
    const { socket, received, ended } = await echo.open();
    proxy.limitBandwidth(50_000, "down");
    socket.end("x".repeat(10_000));
    await until(() => ended());
    expect(received().length).toBe(10_000);
    await until(() => proxy.connections === 0);
  });
});

describe("FaultProxy.jitter", () => {
  it("lets chunks wait for different times, and keeps their order", async () => {
    const { socket, received } = await echo.open();
    proxy.jitter(40, "up");
    proxy.slice("down");
    let sent = "";
    for (let index = 0; index < 30; index += 1) {
      const text = `${index};`;
      sent += text;
      socket.write(text);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    await until(() => received() === sent);
    expect(echo.target.received).toBe(sent);
  });

  it("draws the same from the same seed", async () => {
    const drawn: number[] = [];
    const seeded = new SeededRandom(7);
    const random = {
      nextId: () => 1n,
      next: () => {
        drawn.push(seeded.next());
        return drawn.at(-1) ?? 0;
      },
    };
    await using front = await FaultProxy.start({ target: proxy.endpoint, random });
    front.jitter(200);
    const port = Number(new URL(front.endpoint).port);
    const startedAt = performance.now();
    const client = echo.begin(port);
    client.socket.write("x");
    await until(() => client.received() === "x");
    const again = new SeededRandom(7);
    const [up = 0, down = 0] = [again.next(), again.next()];
    expect(drawn).toEqual([up, down]);
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(Math.floor((up + down) * 200) - 2);
  });
});

describe("FaultProxy.halfClose", () => {
  it("ends what comes down and lets what goes up go on", async () => {
    const client = await echo.open();
    client.socket.write("a");
    await until(() => client.received() === "a");
    proxy.halfClose("down");
    await until(() => client.ended());
    client.socket.write("b");
    await until(() => echo.target.received === "ab");
    expect([client.received(), echo.target.ends, proxy.connections]).toEqual(["a", 0, 1]);
    proxy.pass();
    client.socket.end("c");
    await until(() => echo.target.ends === 1);
    expect(echo.target.received).toBe("abc");
    await client.closed;
    await until(() => proxy.connections === 0);
  });

  it("ends what goes up and lets what comes down go on, for new connections too until pass()", async () => {
    proxy.halfClose("up");
    const client = await echo.open();
    await until(() => echo.target.ends === 1);
    client.socket.write("dropped");
    await moment();
    expect(echo.target.received).toBe("");
    await until(() => client.ended());
    proxy.pass();
    const next = await echo.open();
    next.socket.write("x");
    await until(() => next.received() === "x");
  });
});

describe("FaultProxy", () => {
  it("forwards at once what still waits when it is told to pass", async () => {
    const { socket, received } = await echo.open();
    proxy.delay(60_000);
    socket.write("x");
    await moment();
    expect([echo.target.received, received()]).toEqual(["", ""]);
    proxy.pass();
    await until(() => received() === "x");
  });

  it.each([
    { way: "at once", delayMs: 0 },
    { way: "with a delay", delayMs: 100 },
  ])("has the sender wait for a receiver that does not read, forwarding $way", async ({ delayMs }) => {
    proxy.delay(delayMs, "up");
    const { socket, received } = await echo.open();
    socket.write("x");
    await until(() => received() === "x");
    const [target] = echo.accepted;
    target?.pause();
    const chunk = Buffer.alloc(1 << 20, "y");
    const total = 64;
    for (let sent = 0; sent < total; sent += 1) socket.write(chunk);
    let before = -1;
    // Until nothing moves any more.
    while (before !== socket.writableLength) {
      before = socket.writableLength;
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    // What is gone from here is in the buffers of two connections, and a megabyte in the proxy.
    expect(socket.writableLength).toBeGreaterThan((total - 32) * chunk.length);
    proxy.pass();
    target?.resume();
    await until(() => echo.target.received.length === 1 + total * chunk.length);
  });

  it("refuses what it cannot do, and says so", async () => {
    const invalid = (message: string) => expect.objectContaining({ code: "SD_INVALID_ARGUMENT", message });
    const attempt = (work: () => void): unknown => {
      try {
        return work();
      } catch (error) {
        return error;
      }
    };
    for (const target of ["127.0.0.1:2379", "http://localhost", "tcp://a:1", "http://a:99999", ""]) {
      await expect(FaultProxy.start({ target })).rejects.toEqual(
        invalid(`target must be like http://127.0.0.1:2379, got ${JSON.stringify(target)}`),
      );
    }
    const sideways = "sideways" as "up";
    expect(attempt(() => proxy.delay(-1))).toEqual(
      invalid("ms must be a number from 0 to 2147483647, got -1"),
    );
    expect(attempt(() => proxy.jitter(Number.NaN))).toMatchObject({ code: "SD_INVALID_ARGUMENT" });
    expect(attempt(() => proxy.limitBandwidth(0))).toEqual(
      invalid("bytesPerSecond must be a number from 1, got 0"),
    );
    expect(attempt(() => proxy.resetAfterBytes(1.5))).toEqual(
      invalid("bytes must be a whole number from 0, got 1.5"),
    );
    expect(attempt(() => proxy.halfClose("both" as "up"))).toEqual(
      invalid('direction must be up or down, got "both"'),
    );
    for (const fault of [proxy.blackhole, proxy.slice]) {
      expect(attempt(() => fault.call(proxy, sideways))).toEqual(
        invalid('direction must be up or down or both, got "sideways"'),
      );
    }
    const { socket, received } = await echo.open();
    socket.write("x");
    await until(() => received() === "x");
  });
});
