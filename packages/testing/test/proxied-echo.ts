import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { eventually, FaultProxy, leakCheck } from "../src/index.js";

/** A client behind the proxy, and what it has seen. */
export interface EchoClient {
  readonly socket: Socket;
  readonly received: () => string;
  readonly chunks: () => number;
  readonly ended: () => boolean;
  /** The code of the error with which it ended. */
  readonly closed: Promise<string | undefined>;
}

/** A server that sends back what it gets, behind a proxy, with clients. End it: nothing may be left open. */
export class ProxiedEcho {
  /** What the server has received and how often it saw an end or a reset. */
  target = { received: "", ends: 0, resets: 0 };
  /** The server's end of each connection. */
  readonly accepted: Socket[] = [];
  readonly #clients: Socket[] = [];
  readonly #check = leakCheck();

  private constructor(
    readonly server: Server,
    readonly proxy: FaultProxy,
  ) {
    server.on("connection", (socket: Socket) => this.#answer(socket));
  }

  static async start(): Promise<ProxiedEcho> {
    const server = createServer({ noDelay: true, allowHalfOpen: true }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const port = typeof address === "object" && address ? address.port : 0;
    return new ProxiedEcho(server, await FaultProxy.start({ target: `http://127.0.0.1:${port}` }));
  }

  async open(): Promise<EchoClient> {
    const client = this.begin();
    await once(client.socket, "connect");
    return client;
  }

  /** @param port where to connect; default: the proxy. */
  begin(port = Number(new URL(this.proxy.endpoint).port)): EchoClient {
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    this.#clients.push(socket);
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

  /** Lets no client in any more. */
  stop(): void {
    this.server.close();
  }

  async end(): Promise<void> {
    await this.proxy[Symbol.asyncDispose]();
    await this.proxy[Symbol.asyncDispose]();
    for (const socket of [...this.#clients, ...this.accepted]) socket.destroy();
    this.stop();
    await this.#check.assertClean();
  }

  #answer(socket: Socket): void {
    this.accepted.push(socket);
    socket.on("data", (chunk) => {
      this.target.received += chunk.toString();
      socket.write(chunk);
    });
    socket.on("end", () => {
      this.target.ends += 1;
      socket.end();
    });
    socket.on("error", () => {
      this.target.resets += 1;
    });
  }
}

export const until = (condition: () => boolean) => eventually(condition, { everyMs: 2, timeoutMs: 30_000 });
export const moment = () => new Promise((resolve) => setTimeout(resolve, 60));
