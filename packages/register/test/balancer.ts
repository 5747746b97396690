import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";

/** Something between a client and etcd. Dispose it. */
export interface Door extends AsyncDisposable {
  readonly endpoint: string;
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
