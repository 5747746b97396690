import type { Client } from "./auth/guard.js";
import type { MemoryServer } from "./memory-server.js";

/** The calls of one client that the port can ask for. */
export type Session = Pick<
  MemoryServer,
  "range" | "txn" | "grant" | "revoke" | "renew" | "openWatch" | "authServer"
>;

/** The server as this client finds it. */
export function sessionOf(server: MemoryServer, client: Client): Session {
  return {
    range: (request) => server.range(request, client),
    txn: (request) => server.txn(request, client),
    grant: (request) => server.grant(request, client),
    revoke: (request) => server.revoke(request, client),
    renew: (request) => server.renew(request, client),
    openWatch: (emit) => server.openWatch(emit, client),
    authServer: server.authServer,
  };
}
