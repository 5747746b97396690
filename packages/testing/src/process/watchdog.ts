import { type ChildProcess, spawn } from "node:child_process";

/** Reads `+item` and `-item` from its parent; when the parent is gone, kills and removes what is left. */
const SCRIPT = `
set -f
end='
'
items=
while IFS= read -r line; do
  case $line in
    +*) items="$items\${line#+}$end" ;;
    -*)
      kept=
      IFS=$end
      for item in $items; do [ "$item" = "\${line#-}" ] || kept="$kept$item$end"; done
      items=$kept ;;
  esac
done
IFS=$end
for item in $items; do case $item in pid:*) kill -9 "\${item#pid:}" ;; esac; done
case $items in *dir:*) sleep 1 ;; esac
for item in $items; do case $item in dir:*) rm -rf -- "\${item#dir:}" ;; esac; done
`;

/** What a watchdog cleans up: a process, or a directory with all that is in it. */
export type Guarded = `pid:${number}` | `dir:${string}`;

/**
 * A small shell process that outlives this one, for whatever reason it ends, just long enough to clean up.
 *
 * It does not keep this process alive.
 */
export class Watchdog {
  readonly #child: ChildProcess;

  constructor() {
    this.#child = spawn("/bin/sh", ["-c", SCRIPT], { stdio: ["pipe", "ignore", "ignore"], detached: true });
    this.#child.unref();
    // Without /bin/sh there is no watchdog, and the handler at exit must do.
    this.#child.on("error", () => {});
    const { stdin } = this.#child;
    stdin?.on("error", () => {});
    if (stdin && "unref" in stdin && typeof stdin.unref === "function") stdin.unref();
  }

  add(item: Guarded): void {
    this.#child.stdin?.write(`+${item}\n`);
  }

  remove(item: Guarded): void {
    this.#child.stdin?.write(`-${item}\n`);
  }

  /** Has it clean up now, as it does when this process dies. */
  end(): void {
    this.#child.stdin?.end();
  }

  /** Ends it without cleaning up. */
  dismiss(): void {
    this.#child.kill("SIGKILL");
  }
}
