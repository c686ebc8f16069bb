/** Names and shapes of what lets this machine's member and this daemon speak to the datastore. */
import { join } from 'node:path'

/** Where the credentials lie. `server`, `peer` and `client` hold certificate *and* key, in one file. */
export interface CredentialPaths {
  readonly ca: string
  readonly server: string
  readonly peer: string
  readonly client: string
}

/** What an etcd client needs, PEM. Holds a private key. */
export interface ClientCredentials {
  readonly ca: string
  /** Certificate and key. */
  readonly client: string
}

export const credentialPaths = (directory: string): CredentialPaths => ({
  ca: join(directory, 'ca.pem'),
  server: join(directory, 'server.pem'),
  peer: join(directory, 'peer.pem'),
  client: join(directory, 'client.pem'),
})
