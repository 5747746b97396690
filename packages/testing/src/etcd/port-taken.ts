import { setTimeout as pause } from "node:timers/promises";

/** Go's words for EADDRINUSE. */
export const PORT_TAKEN = "address already in use";

const TRIES = 5;
const PAUSE_MS = 200;

/** Starts something, up to five times if a port is taken: one that was free may be taken a moment later. */
export async function startDespitePorts<Started>(start: () => Promise<Started>): Promise<Started> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await start();
    } catch (error) {
      if (tries === TRIES || !String(error).includes(PORT_TAKEN)) throw error;
      await pause(PAUSE_MS);
    }
  }
}
