/** What the parts of a running server share. */
import type { Passwords } from './access.ts'
import { type Authorities, bootstrapKey, encryptAuthorities } from './authorities.ts'
import type { EtcdClient } from './etcd-client.ts'
import type { EtcdMember } from './member.ts'
import type { Objects } from './objects.ts'
import type { ServerSettings } from './settings.ts'
import type { Stages } from './stages.ts'

export interface ClusterState {
  readonly settings: ServerSettings
  readonly stages: Stages
  readonly authorities: Authorities
  /** Changed by a rotation. */
  passwords: Passwords
  /** Null with an external datastore, or with none that others could join. */
  readonly member: EtcdMember | null
  readonly etcd: EtcdClient
  readonly objects: Objects
  /** The Kubernetes API answers. */
  isApiUp: boolean
}

/** Keeps the authorities in the datastore for whoever has the token. */
export async function saveBootstrap(state: ClusterState): Promise<void> {
  const { server } = state.passwords
  await state.etcd.put(bootstrapKey(server), encryptAuthorities(server, state.authorities))
}
