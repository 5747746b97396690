import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { socketOwner } from "../process/socket-owner.js";
import { FaultProxy } from "../proxy/fault-proxy.js";

/** Of one member: the port where it listens for the others, and its process. */
export interface Peer {
  readonly port: number;
  /** `undefined` while it is down. */
  pid(): number | undefined;
}

/**
 * The network between the members of a cluster: one way for messages from each member to each other.
 *
 * A member has one address for all others, so who connects cannot be told by where: the kernel is asked whose
 * the connection is. It then goes through the link of these two members, a `FaultProxy`.
 */
export class PeerNetwork {
  readonly #gates: readonly Server[];
  readonly #peers: readonly Peer[];
  /** Connections made by the first and accepted by the second, both counted from 0. */
  readonly #links: readonly (readonly FaultProxy[])[];
  /** `from>to`. */
  readonly #cuts = new Set<string>();
  #isDisposed = false;

  private constructor(gates: readonly Server[], peers: readonly Peer[], links: readonly FaultProxy[][]) {
    this.#gates = gates;
    this.#peers = peers;
    this.#links = links;
    for (const [to, gate] of gates.entries()) {
      gate.on("connection", (socket) => void this.#connect(socket, to));
    }
  }

  static async start(peers: readonly Peer[]): Promise<PeerNetwork> {
    const gates = peers.map(() =>
      createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }).listen(0, "127.0.0.1"),
    );
    await Promise.all(gates.map((gate) => once(gate, "listening")));
    const links = await Promise.all(
      peers.map(() =>
        Promise.all(peers.map(({ port }) => FaultProxy.start({ target: `http://127.0.0.1:${port}` }))),
      ),
    );
    return new PeerNetwork(gates, peers, links);
  }

  /** Where the others reach a member. */
  url(index: number): string {
    return `http://127.0.0.1:${portOf(this.#gates[index])}`;
  }

  /** Loses all that one member sends to another, on connections of either's making. */
  cut(from: number, to: number): void {
    this.#link(from, to).blackhole("up");
    this.#link(to, from).blackhole("down");
    this.#cuts.add(`${from}>${to}`);
  }

  isCut(from: number, to: number): boolean {
    return this.#cuts.has(`${from}>${to}`);
  }

  /** Lets all pass again. What was lost left gaps in connections: they are made anew. */
  heal(): void {
    for (const [from, links] of this.#links.entries()) {
      for (const [to, link] of links.entries()) {
        if (!this.isCut(from, to) && !this.isCut(to, from)) continue;
        link.pass();
        link.reset();
      }
    }
    this.#cuts.clear();
  }

  /** Drops all connections. The members are down by then, or lose each other. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    await Promise.all(this.#links.flat().map((link) => link.close()));
    await Promise.all(this.#gates.map((gate) => once(gate.close(), "close")));
  }

  async #connect(socket: Socket, to: number): Promise<void> {
    socket.on("error", () => {});
    const connection = { fromPort: Number(socket.remotePort), toPort: Number(socket.localPort) };
    const pids = this.#peers.map((peer) => peer.pid());
    const running = pids.filter((pid) => pid !== undefined);
    const owner = await socketOwner(connection, running).catch(() => undefined);
    if (owner === undefined || socket.destroyed || this.#isDisposed) {
      // Whoever it was is gone, or tries again.
      socket.destroy();
      return;
    }
    const from = pids.indexOf(owner);
    this.#link(from, to).adopt(socket);
    socket.resume();
  }

  #link(from: number, to: number): FaultProxy {
    return this.#links[from]?.[to] as FaultProxy;
  }
}

function portOf(server: Server | undefined): number {
  const address = server?.address();
  return typeof address === "object" && address ? address.port : 0;
}
