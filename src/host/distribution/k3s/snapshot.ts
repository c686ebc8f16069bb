/** A snapshot of the datastore, of a name that the core gives it, by k3s' own command. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { SNAPSHOT_MS } from '../timing.ts'
import type { Places } from './places.ts'
import { snapshotFailed } from './problems.ts'
import { readSnapshot, writeSnapshot } from './started.ts'

/**
 * Makes sure that there is one.
 * @throws DatastoreError
 */
export async function keepSnapshot(
  name: string,
  binary: string,
  places: Places,
  path: string,
): Promise<void> {
  if (readSnapshot(places.state) === name) return
  const result = await execa(binary, ['etcd-snapshot', 'save', '--name', name, '--data-dir', places.data], {
    reject: false,
    timeout: SNAPSHOT_MS,
    // This server's own file says `server: https://another`, which the command would take for whom to ask.
    env: { PATH: path, K3S_CONFIG_FILE: '/dev/null', K3S_DATA_DIR: places.data },
    extendEnv: false,
  })
  if (result.failed) throw snapshotFailed(result.stderr || (result.shortMessage ?? result.stdout))
  const directory = join(places.server, 'db/snapshots')
  const files = (await readdir(directory).catch(() => [])).filter((file) => isOf(file, name)).sort()
  const file = files.at(-1)
  if (file === undefined)
    throw snapshotFailed(`it said that it did, but ${directory} holds none called ${name}`)
  await writeSnapshot(places.state, name, join(directory, file))
}

/** k3s appends the node and the time, and an ending where it compresses. */
export const isOf = (file: string, name: string): boolean => file === name || file.startsWith(`${name}-`)
