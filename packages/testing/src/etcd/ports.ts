import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";

/** A TCP port of the loopback interface that nobody listens on, kept from others until it is disposed. */
export interface ReservedPort extends Disposable {
  readonly port: number;
}

/** Below the ports that Linux (from 32768) and macOS (from 49152) give to whoever does not care. */
const FIRST = 20_000;
const COUNT = 12_000;

/** Reserves free ports, all different. */
export function reservePorts(count: number): Promise<ReservedPort[]> {
  return Promise.all(Array.from({ length: count }, reservePort));
}

/**
 * Reserves a free port, against all processes that reserve by this function.
 *
 * Whoever holds the UDP port of a number has its TCP port reserved: the kernel keeps the list, and gives the
 * port back when the holder ends, even by SIGKILL. etcd itself needs no UDP.
 */
async function reservePort(): Promise<ReservedPort> {
  for (let tries = 1; tries <= COUNT; tries += 1) {
    const port = FIRST + Math.floor(Math.random() * COUNT);
    const socket = createSocket("udp4");
    socket.unref();
    try {
      socket.bind({ port, address: "127.0.0.1", exclusive: true });
      await once(socket, "listening");
      if (await isPortFree(port)) return { port, [Symbol.dispose]: () => closeOnce(socket) };
    } catch {}
    closeOnce(socket);
  }
  throw new Error(`no free port from ${FIRST} to ${FIRST + COUNT - 1} on the loopback interface`);
}

/** Whether nobody listens on a port of the loopback interface. */
export async function isPortFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    await once(server.listen(port, "127.0.0.1"), "listening");
    await once(server.close(), "close");
    return true;
  } catch {
    return false;
  }
}

function closeOnce(socket: { close(): unknown }): void {
  try {
    socket.close();
  } catch {}
}
