import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SdError } from "@sd/core";
import { freezeProcess } from "../process/freeze.js";
import { guardDirectory } from "../process/guard.js";
import type { Certificate, CertificateAuthority } from "../tls/certificate-authority.js";
import { checkRoot, disableAuth, type EtcdAuth, enableAuth } from "./auth.js";
import { etcdVersion, findEtcd, findEtcdctl, runProgram } from "./binaries.js";
import { checkOptions, type EtcdProcessOptions } from "./etcd-process-options.js";
import { EtcdProcessRun } from "./etcd-process-run.js";
import { etcdFlags } from "./flags.js";
import { LogTail } from "./log-tail.js";
import { type MemberStatus, readStatus } from "./member-status.js";
import { alone, type Membership } from "./membership.js";
import { PORT_TAKEN, startDespitePorts } from "./port-taken.js";
import { isPortFree, type ReservedPort, reservePorts } from "./ports.js";
import { checkRestore, type RestoreOptions, restoreSnapshot } from "./snapshot-tool.js";
import { TlsFiles } from "./tls-files.js";

interface Settings {
  readonly binary: string;
  readonly version: string;
  readonly directory: string;
  readonly ports: readonly ReservedPort[];
  readonly membership: Membership;
  readonly options: EtcdProcessOptions;
}

/**
 * A real etcd: one member on loopback ports, with a data directory of its own under the temporary directory.
 *
 * It serves when `start()` and `restart()` resolve. Close it: it is killed and its data are removed, which
 * happens at the latest when this process ends, even by SIGKILL. For Linux and macOS.
 */
export class EtcdProcess implements AsyncDisposable {
  /** `sd`, or its name in its cluster. */
  readonly name: string;
  /** Where clients connect: `http://127.0.0.1:<port>`, or `https://…`; the same for its whole life. */
  readonly endpoint: string;
  readonly port: number;
  /** Like `3.5.16`. */
  readonly version: string;
  readonly #settings: Settings;
  readonly #guard: Disposable;
  readonly #log = new LogTail();
  #tls: TlsFiles | undefined;
  #run: EtcdProcessRun | undefined;
  #closed: Promise<void> | undefined;

  private constructor(settings: Settings) {
    const { directory, membership, options, ports, version } = settings;
    this.#settings = settings;
    this.#guard = guardDirectory(directory);
    this.name = membership.name;
    this.port = options.port ?? (ports[0]?.port as number);
    this.endpoint = `${options.tls ? "https" : "http"}://127.0.0.1:${this.port}`;
    this.version = version;
  }

  /**
   * Starts etcd and waits until it serves.
   *
   * @throws SdError `SD_INVALID_ARGUMENT`
   * @throws Error with etcd's log if it does not, or one that tells how to get an etcd if there is none.
   */
  static async start(options: EtcdProcessOptions = {}): Promise<EtcdProcess> {
    checkOptions(options);
    return startDespitePorts(() => EtcdProcess.#start(options));
  }

  /** @internal Makes a member of an `EtcdCluster`: it is down until `restart()`, which needs most of the others. */
  static async createMember(options: EtcdProcessOptions, given?: Membership): Promise<EtcdProcess> {
    checkOptions(options);
    const binary = findEtcd(options.binary);
    const version = await etcdVersion(binary);
    const directory = await mkdtemp(join(tmpdir(), "sd-etcd-"));
    const ports = await reservePorts(2);
    const membership = given ?? alone(`http://127.0.0.1:${ports[1]?.port}`);
    const etcd = new EtcdProcess({ binary, version, directory, ports, membership, options });
    try {
      if (options.tls) etcd.#tls = await TlsFiles.write(directory, options.tls);
      return etcd;
    } catch (error) {
      await etcd.close();
      throw error;
    }
  }

  static async #start(options: EtcdProcessOptions): Promise<EtcdProcess> {
    const etcd = await EtcdProcess.createMember(options);
    try {
      await etcd.#launch();
      return etcd;
    } catch (error) {
      await etcd.close();
      throw error;
    }
  }

  /** The id of etcd's own process; `undefined` while it is down. */
  get pid(): number | undefined {
    return this.isRunning ? this.#run?.pid : undefined;
  }

  get isRunning(): boolean {
    return this.#run !== undefined && !this.#run.hasEnded;
  }

  /** The last lines that etcd has written, of all its lives: for the message of a failed test. */
  log(): string {
    return this.#log.toString();
  }

  /** Ends it by SIGTERM and waits; by SIGKILL if it takes longer than 5 seconds. Does nothing if it is down. */
  async stop(): Promise<void> {
    await this.#run?.stop();
  }

  /** Ends it by SIGKILL, frozen or not, and waits. Does nothing if it is down. */
  async kill(): Promise<void> {
    await this.#run?.kill();
  }

  /** Starts it again with the same ports and data, after `stop()` if it runs. @throws SdError `SD_CLOSED` */
  async restart(): Promise<void> {
    await this.stop();
    await startDespitePorts(async () => {
      this.#log.add("--- restart");
      await this.#launch();
    });
  }

  /**
   * Stops its process where it is, by SIGSTOP: it accepts connections and answers nothing. Resolves once it
   * stands. Does nothing if it is down.
   */
  async freeze(): Promise<void> {
    if (this.pid !== undefined) await freezeProcess(this.pid);
  }

  /** Lets it run on after `freeze()`. */
  thaw(): void {
    this.#run?.signal("SIGCONT");
  }

  /**
   * Removes its data. After `restart()` it is a new store, at revision 1 and with the same ids.
   *
   * @throws Error unless it is down.
   */
  async wipe(): Promise<void> {
    if (this.isRunning) throw new Error("etcd runs: stop it before its data are removed");
    await rm(this.#dataDirectory, { recursive: true, force: true });
  }

  /** Runs `etcdctl` (API 3) against it and returns what it wrote to stdout. @throws Error with its stderr. */
  async ctl(...args: readonly string[]): Promise<string> {
    const { binary, membership } = this.#settings;
    const user = membership.access.user;
    const access = [...(this.#tls?.etcdctlFlags ?? []), ...(user === undefined ? [] : [`--user=${user}`])];
    const flags = ["--endpoints", this.endpoint, ...access];
    return runProgram(findEtcdctl(binary), [...flags, ...args], { ETCDCTL_API: "3" });
  }

  /** Asks it for its ids, revision and leader. @throws Error if it does not answer within 2 seconds. */
  async status(): Promise<MemberStatus> {
    return readStatus(await this.ctl("endpoint", "status", "-w", "fields", "--command-timeout=2s"));
  }

  /** Compacts the history before `revision`. @throws Error with etcdctl's words. */
  async compact(revision: number): Promise<void> {
    await this.ctl("compact", String(revision));
  }

  /** Gives the space of what was compacted back to the file system; it answers nothing meanwhile. */
  async defragment(): Promise<void> {
    await this.ctl("defrag");
  }

  /** All its data, its ids left out: see `restore()`. */
  async snapshot(): Promise<Uint8Array> {
    return this.#withFile(async (file) => {
      await this.ctl("snapshot", "save", file);
      return readFile(file);
    });
  }

  /**
   * Replaces its data by those of a snapshot, of any etcd. It has them after `restart()`: at the revision of the
   * snapshot, and with the same ids as before unless told otherwise.
   *
   * @throws SdError `SD_INVALID_ARGUMENT` for what this etcd cannot do; then its data are as they were.
   * @throws Error unless it is down, or with the words of etcd's tool.
   */
  async restore(snapshot: Uint8Array, options: RestoreOptions = {}): Promise<void> {
    const { binary, version, membership } = this.#settings;
    checkRestore(version, options);
    await this.wipe();
    await this.#withFile(async (file) => {
      await writeFile(file, snapshot);
      const target = { etcd: binary, version, file, dataDirectory: this.#dataDirectory, place: membership };
      await restoreSnapshot({ ...target, ...options });
    });
  }

  /**
   * Makes users with a role each, and switches authentication on, in the whole cluster. From then on `ctl()` is
   * `root`, unless it is told another `--user`.
   *
   * @throws Error if there is no `root` among the users, or none that `ctl()` could be, before anything is done.
   */
  async enableAuth(auth: EtcdAuth): Promise<void> {
    checkRoot(auth, this.#tls?.client !== undefined);
    await enableAuth((...args) => this.ctl(...args), auth);
    const password = auth.users["root"]?.password;
    if (password !== undefined) this.#settings.membership.access.user = `root:${password}`;
  }

  /** Switches authentication off, and removes all users and roles. */
  async disableAuth(): Promise<void> {
    await disableAuth((...args) => this.ctl(...args));
    this.#settings.membership.access.user = undefined;
  }

  /**
   * Has it show another certificate, from the next TLS handshake on; open connections stay.
   *
   * @throws Error if it was started without TLS.
   */
  async useCertificate(certificate: Certificate): Promise<void> {
    if (!this.#tls) throw new Error("etcd has no TLS: start it with the option tls");
    await this.#tls.replace(certificate);
  }

  /**
   * Has it trust the client certificates of these authorities, from its next start on. `ctl()` shows one of the first
   * from now on, and trusts them all.
   *
   * @throws Error if it was started without TLS.
   */
  async trust(authorities: readonly [CertificateAuthority, ...CertificateAuthority[]]): Promise<void> {
    if (!this.#tls) throw new Error("etcd has no TLS: start it with the option tls");
    await this.#tls.trust(authorities);
  }

  /** Kills it and removes its data. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await this.kill();
    for (const port of this.#settings.ports) port[Symbol.dispose]();
    await rm(this.#settings.directory, { recursive: true, force: true, maxRetries: 5 });
    this.#guard[Symbol.dispose]();
  }

  get #dataDirectory(): string {
    return join(this.#settings.directory, "data");
  }

  async #withFile<Result>(use: (file: string) => Promise<Result>): Promise<Result> {
    const file = join(this.#settings.directory, "snapshot.db");
    try {
      return await use(file);
    } finally {
      await rm(file, { force: true });
    }
  }

  /** Begins a new life, and waits until it serves; ends it if it does not. */
  async #launch(): Promise<void> {
    const { binary, version, membership, options } = this.#settings;
    if (!(await isPortFree(this.port))) {
      // Whoever listens there would be taken for this etcd.
      throw new Error(`port ${this.port} of the loopback interface: ${PORT_TAKEN}`);
    }
    const flags = etcdFlags({
      version,
      dataDirectory: this.#dataDirectory,
      clientUrl: this.endpoint,
      peerUrl: membership.peerUrl,
      place: membership,
      tls: this.#tls?.etcdFlags ?? {},
      args: options.args ?? [],
    });
    // Nobody would end it, nor remove its data.
    if (this.#closed) throw new SdError("SD_CLOSED", "this etcd is closed: start another one");
    const run = new EtcdProcessRun(binary, flags, this.#log);
    this.#run = run;
    try {
      const { startTimeoutMs: timeoutMs = 20_000 } = options;
      await run.served(this.endpoint, { timeoutMs, client: this.#tls?.client });
    } catch (error) {
      await run.kill();
      throw error;
    }
  }
}
