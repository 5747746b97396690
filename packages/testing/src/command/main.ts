import process from "node:process";
import { runEtcd } from "./run-etcd.js";

/** How long a second signal may take. */
const ECHO_MS = 200;

const controller = new AbortController();
// npm passes on the Ctrl-C that the terminal has sent already: that must not end us before, nor while we end.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => controller.abort());

// Whoever waits for the ready line, or has gone since (`| head`), gets one line and no stack.
let failure: Error | undefined;
process.stdout.on("error", (error) => {
  failure ??= error;
  controller.abort();
});
process.stderr.on("error", () => {});

void runEtcd(process.argv.slice(2), {
  out: (text) => void process.stdout.write(text),
  error: (text) => void process.stderr.write(text),
  signal: controller.signal,
}).then((code) => {
  process.exitCode = failure ? 1 : code;
  if (failure) process.stderr.write(`stdout cannot be written: ${failure.message}\n`);
  if (controller.signal.aborted) setTimeout(() => {}, ECHO_MS);
});
