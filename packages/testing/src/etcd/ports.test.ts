import { once } from "node:events";
import { createServer } from "node:net";
import { afterEach, describe, expect, it, vi } from "vitest";
import { type ReservedPort, reservePorts } from "./ports.js";

const held: ReservedPort[] = [];

afterEach(() => {
  vi.restoreAllMocks();
  for (const port of held.splice(0)) port[Symbol.dispose]();
});

/** Reserves one, where the first port to be tried is always the same, and the next ones are not. */
async function reserveSame(): Promise<number> {
  vi.spyOn(Math, "random").mockReturnValueOnce(0.123_456);
  const [reserved] = await reservePorts(1);
  if (!reserved) throw new Error("none was reserved");
  held.push(reserved);
  return reserved.port;
}

describe("reservePorts", () => {
  it("gives ports that the kernel gives to nobody, all different", async () => {
    held.push(...(await reservePorts(50)));
    const ports = held.map(({ port }) => port);
    expect(new Set(ports).size).toBe(50);
    expect(Math.min(...ports)).toBeGreaterThanOrEqual(20_000);
    expect(Math.max(...ports)).toBeLessThan(32_000);
  });

  it("gives a port to one only, until it is disposed", async () => {
    const first = await reserveSame();
    expect(await reserveSame()).not.toBe(first);
    for (const port of held.splice(0)) {
      port[Symbol.dispose]();
      port[Symbol.dispose]();
    }
    expect(await reserveSame()).toBe(first);
  });

  it("passes over a port that somebody listens on", async () => {
    const first = await reserveSame();
    held.pop()?.[Symbol.dispose]();
    const server = createServer().listen(first, "127.0.0.1");
    await once(server, "listening");
    expect(await reserveSame()).not.toBe(first);
    await once(server.close(), "close");
  });
});
