import { once } from "node:events";
import { createServer as createHttpServer, get } from "node:http";
import { connect, createServer, type Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { leakCheck } from "./leak-check.js";

describe("leakCheck", () => {
  it("is content when all is gone, if need be after a while", async () => {
    const check = leakCheck();
    const cleared = setTimeout(() => {}, 10_000);
    setTimeout(() => {}, 30).unref();
    const peers: Socket[] = [];
    const server = createServer((peer) => peers.push(peer)).listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const socket = connect(typeof address === "object" && address ? address.port : 0, "127.0.0.1");
    await once(socket, "connect");
    expect(check.open).toBeGreaterThanOrEqual(4);
    clearTimeout(cleared);
    setTimeout(() => {
      socket.destroy();
      for (const peer of peers) peer.destroy();
      server.close();
    }, 50);
    await check.assertClean();
    expect(check.open).toBe(0);
  });

  it("finds a timer that does not keep the process alive, and says where it was made", async () => {
    const check = leakCheck();
    const timer = setTimeout(() => {}, 10_000).unref();
    await expect(check.assertClean({ withinMs: 30 })).rejects.toThrow(
      /1 left open[\s\S]*timer made .*leak-check\.test/,
    );
    clearTimeout(timer);
  });

  it("finds a listening socket", async () => {
    const check = leakCheck();
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    await expect(check.assertClean({ withinMs: 0 })).rejects.toThrow("listening socket made");
    server.close();
  });

  it("does not count the timer with which Node keeps the date of answers", async () => {
    // It lasts until the second is over.
    await new Promise((resolve) => setTimeout(resolve, 1_005 - (Date.now() % 1_000)));
    const check = leakCheck();
    const server = createHttpServer((_request, response) => response.end()).listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const port = typeof address === "object" && address ? address.port : 0;
    await once(get({ port, host: "127.0.0.1", agent: false }), "response").then(([answer]) =>
      answer.resume(),
    );
    server.close();
    server.closeAllConnections();
    await check.assertClean({ withinMs: 300 });
  });

  it("does not count what was there before", async () => {
    const timer = setTimeout(() => {}, 10_000);
    await leakCheck().assertClean({ withinMs: 0 });
    clearTimeout(timer);
  });
});
