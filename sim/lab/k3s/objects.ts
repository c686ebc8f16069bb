/** Kubernetes objects in etcd, one key each, with the revision of the last change as resourceVersion. */
import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import type { EtcdClient } from './etcd-client.ts'

export const Kube = z.looseObject({
  metadata: z.looseObject({
    name: z.string(),
    namespace: z.string().optional(),
    uid: z.string().optional(),
    resourceVersion: z.string().optional(),
    creationTimestamp: z.string().optional(),
    deletionTimestamp: z.string().optional(),
    labels: z.record(z.string(), z.string()).optional(),
    annotations: z.record(z.string(), z.string()).optional(),
  }),
})
export type Kube = z.infer<typeof Kube>

export const NodeStatus = z.looseObject({
  conditions: z
    .array(z.looseObject({ type: z.string(), status: z.string(), reason: z.string(), message: z.string() }))
    .default([]),
})

/** `AlreadyExists`, `NotFound`, `Conflict`, … with the status code that goes with it. */
export class KubeError extends Error {
  readonly status: number
  readonly reason: string

  constructor(status: number, reason: string, message: string) {
    super(message)
    this.status = status
    this.reason = reason
  }
}

const KEPT = ['uid', 'creationTimestamp', 'deletionTimestamp'] as const

/** A kind of object: `nodes` are in no namespace. */
export interface Kind {
  readonly plural: string
  /** Below /registry/. */
  readonly place: string
  readonly isNamespaced: boolean
  readonly kind: string
}

export const NODES: Kind = { plural: 'nodes', place: 'minions', isNamespaced: false, kind: 'Node' }
export const SECRETS: Kind = { plural: 'secrets', place: 'secrets', isNamespaced: true, kind: 'Secret' }
const CONFIG_MAPS: Kind = { plural: 'configmaps', place: 'configmaps', isNamespaced: true, kind: 'ConfigMap' }
export const KINDS: readonly Kind[] = [NODES, SECRETS, CONFIG_MAPS]

export class Objects {
  readonly #etcd: EtcdClient

  constructor(etcd: EtcdClient) {
    this.#etcd = etcd
  }

  async get(kind: Kind, namespace: string, name: string): Promise<Kube> {
    const entry = await this.#etcd.get(keyOf(kind, namespace, name))
    if (entry === null) throw notFound(kind, name)
    return withRevision(entry.value, entry.revision)
  }

  async list(kind: Kind, namespace: string): Promise<Kube[]> {
    const prefix = keyOf(kind, namespace, '')
    return (await this.#etcd.list(prefix)).map(({ value, revision }) => withRevision(value, revision))
  }

  async create(kind: Kind, namespace: string, object: Kube): Promise<Kube> {
    const { name } = object.metadata
    const made: Kube = {
      ...object,
      metadata: {
        ...object.metadata,
        ...(kind.isNamespaced ? { namespace } : {}),
        uid: randomUUID(),
        creationTimestamp: new Date().toISOString(),
      },
    }
    const revision = await this.#etcd.putIf(keyOf(kind, namespace, name), stored(made), '0')
    if (revision === null)
      throw new KubeError(409, 'AlreadyExists', `${kind.plural} "${name}" already exists`)
    return withRevision(stored(made), revision)
  }

  /** @param object with a resourceVersion only if that still is the last one */
  async replace(kind: Kind, namespace: string, object: Kube): Promise<Kube> {
    return this.change(kind, namespace, object.metadata.name, (old) => {
      const wanted = object.metadata.resourceVersion ?? ''
      if (wanted !== '' && wanted !== old.metadata.resourceVersion) throw conflict(kind, object.metadata.name)
      return object
    })
  }

  /** A node is only marked: whoever cares for what belongs to it takes it away when that is gone. */
  async markForDeletion(node: string): Promise<Kube> {
    const deletionTimestamp = new Date().toISOString()
    return this.change(NODES, '', node, (old) => ({
      ...old,
      metadata: { deletionTimestamp, ...old.metadata },
    }))
  }

  /** Reads, changes and writes, again while others write between. */
  async change(kind: Kind, namespace: string, name: string, to: (old: Kube) => Kube): Promise<Kube> {
    const key = keyOf(kind, namespace, name)
    for (let tries = 0; tries < 20; tries++) {
      const old = await this.get(kind, namespace, name)
      const next = to(old)
      // What the server itself has set there stays, whatever the writer leaves out.
      const kept = Object.fromEntries(
        KEPT.flatMap((key) => (key in old.metadata ? [[key, old.metadata[key]]] : [])),
      )
      const made = stored({ ...next, metadata: { ...next.metadata, ...kept } })
      const revision = await this.#etcd.putIf(key, made, old.metadata.resourceVersion ?? '0')
      if (revision !== null) return withRevision(made, revision)
    }
    throw conflict(kind, name)
  }

  async delete(kind: Kind, namespace: string, name: string): Promise<Kube> {
    const old = await this.get(kind, namespace, name)
    await this.#etcd.deleteIf(keyOf(kind, namespace, name), old.metadata.resourceVersion ?? '0')
    return old
  }
}

/** Deep: null takes away. `lists` tells by which field the items of a list are the same; others are replaced. */
export function merge(
  old: unknown,
  patch: unknown,
  lists: Readonly<Record<string, string>> = {},
  name = '',
): unknown {
  const key = lists[name]
  if (Array.isArray(old) && Array.isArray(patch) && key !== undefined) return mergeLists(old, patch, key)
  if (!isRecord(patch)) return patch
  const result: Record<string, unknown> = isRecord(old) ? { ...old } : {}
  for (const [field, value] of Object.entries(patch)) {
    if (value === null) delete result[field]
    else if (!field.startsWith('$')) result[field] = merge(result[field], value, lists, field)
  }
  return result
}

function mergeLists(old: readonly unknown[], patch: readonly unknown[], key: string): unknown[] {
  const same = (a: unknown, b: unknown): boolean => isRecord(a) && isRecord(b) && a[key] === b[key]
  const removed = patch.filter((item) => isRecord(item) && item.$patch === 'delete')
  const given = patch.filter((item) => !removed.includes(item))
  const kept = old.filter((item) => !removed.some((gone) => same(gone, item)))
  const changed = kept.map((item) => {
    const change = given.find((other) => same(other, item))
    return change === undefined ? item : merge(item, change)
  })
  return [...changed, ...given.filter((item) => !kept.some((other) => same(other, item)))]
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const keyOf = (kind: Kind, namespace: string, name: string): string =>
  kind.isNamespaced && namespace !== ''
    ? `/registry/${kind.place}/${namespace}/${name}`
    : `/registry/${kind.place}/${name}`

/** What is in etcd has no version: the version is where it is there. */
function stored(object: Kube): string {
  const { resourceVersion, ...metadata } = object.metadata
  return JSON.stringify({ ...object, metadata })
}

function withRevision(value: string, resourceVersion: string): Kube {
  const object = Kube.parse(JSON.parse(value))
  return { ...object, metadata: { ...object.metadata, resourceVersion } }
}

const notFound = (kind: Kind, name: string): KubeError =>
  new KubeError(404, 'NotFound', `${kind.plural} "${name}" not found`)

const conflict = (kind: Kind, name: string): KubeError =>
  new KubeError(
    409,
    'Conflict',
    `Operation cannot be fulfilled on ${kind.plural} "${name}": the object has been modified; please apply your changes to the latest version and try again`,
  )
