import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { eventually } from "@sd/testing";

/** Something between a client and etcd. Dispose it. */
export interface Door extends AsyncDisposable {
  readonly endpoint: string;
}

/** `etcd grpc-proxy`: one address for a cluster, which joins equal watches and renews leases on its own stream. */
export async function grpcProxy(binary: string, target: string): Promise<Door> {
  const address = `127.0.0.1:${await freePort()}`;
  const child = spawn(
    binary,
    [
      "grpc-proxy",
      "start",
      `--endpoints=${target.replace("http://", "")}`,
      `--listen-addr=${address}`,
      // It connects to itself, by default to another port.
      `--advertise-client-url=${address}`,
    ],
    { stdio: "ignore" },
  );
  await eventually(() => accepts(address), { timeoutMs: 10_000 });
  return { endpoint: `http://${address}`, [Symbol.asyncDispose]: () => kill(child) };
}

/** A layer 4 balancer: hands each new connection to the next target. */
export async function balancer(targets: readonly string[]): Promise<Door> {
  let turn = 0;
  const server = createServer((downstream) => {
    const { hostname, port } = new URL(targets[turn++ % targets.length] ?? "");
    const upstream = connect(Number(port), hostname);
    for (const [from, to] of [
      [downstream, upstream],
      [upstream, downstream],
    ] as const) {
      from.pipe(to);
      from.on("error", () => to.destroy());
      from.on("close", () => to.destroy());
    }
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      await once(server.close(), "close");
    },
  };
}

async function kill(child: ChildProcess): Promise<void> {
  const exit = once(child, "exit");
  child.kill("SIGKILL");
  await exit;
}

async function accepts(address: string): Promise<void> {
  const { hostname, port } = new URL(`tcp://${address}`);
  const socket = connect(Number(port), hostname);
  await once(socket, "connect");
  socket.destroy();
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await once(server.close(), "close");
  return port;
}
