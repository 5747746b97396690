import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Certificate, CertificateAuthority } from "../tls/certificate-authority.js";

/** TLS between etcd and its clients; its members talk plainly among themselves. */
export interface EtcdTls {
  /** Signs etcd's certificate, and those of its clients. */
  readonly authority: CertificateAuthority;
  /**
   * Whether clients must show a certificate that the authority has signed. Its common name is the client's
   * user while authentication is on. Default false.
   */
  readonly clientCertificates?: boolean;
}

/** The certificates of one etcd on disk, in its own directory. */
export class TlsFiles {
  readonly #directory: string;
  readonly #asksClients: boolean;
  #client: Certificate | undefined;

  private constructor(directory: string, asksClients: boolean) {
    this.#directory = directory;
    this.#asksClients = asksClients;
  }

  static async write(
    directory: string,
    { authority, clientCertificates = false }: EtcdTls,
  ): Promise<TlsFiles> {
    await mkdir(directory, { recursive: true });
    const files = new TlsFiles(directory, clientCertificates);
    await files.trust([authority]);
    await files.replace(await authority.server());
    return files;
  }

  /** What the harness itself shows to etcd, if etcd asks; its common name is `root`. */
  get client(): Certificate | undefined {
    return this.#client;
  }

  /** Of both sides; the first signs what the harness shows. etcd reads this file when it starts. */
  async trust(authorities: readonly [CertificateAuthority, ...CertificateAuthority[]]): Promise<void> {
    await writeFile(this.#path("authority"), authorities.map(({ cert }) => cert).join("\n"));
    if (!this.#asksClients) return;
    const client = await authorities[0].client({ user: "root" });
    await writeFile(this.#path("client"), client.cert + client.key, { mode: 0o600 });
    this.#client = client;
  }

  /** Certificate and key are one file, which is replaced in one step: etcd reads it at each handshake. */
  async replace({ cert, key }: Certificate): Promise<void> {
    await writeFile(this.#path("next"), cert + key, { mode: 0o600 });
    await rename(this.#path("next"), this.#path("server"));
  }

  get etcdFlags(): Readonly<Record<string, string>> {
    const server = this.#path("server");
    return {
      "cert-file": server,
      "key-file": server,
      ...(this.#asksClients && { "client-cert-auth": "true", "trusted-ca-file": this.#path("authority") }),
    };
  }

  get etcdctlFlags(): readonly string[] {
    const client = this.#path("client");
    return [
      `--cacert=${this.#path("authority")}`,
      ...(this.#asksClients ? [`--cert=${client}`, `--key=${client}`] : []),
    ];
  }

  #path(name: string): string {
    return join(this.#directory, `${name}.pem`);
  }
}
