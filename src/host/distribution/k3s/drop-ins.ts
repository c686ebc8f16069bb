/**
 * Files in config.yaml.d, which k3s merges over what muster wrote: people's own, read here for one thing only, that
 * none of them says what muster alone must say.
 */
import { join } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'
import { namesIn } from '../marker.ts'
import { reservedKey } from './arguments.ts'
import { contentOf } from './files.ts'
import { reservedArgument, unreadableConfiguration } from './problems.ts'

/** @throws DatastoreError that names the file */
export async function checkDropIns(config: string): Promise<void> {
  const directory = `${config}.d`
  for (const name of namesIn(directory).sort()) {
    if (!/\.ya?ml$/.test(name)) continue
    const path = join(directory, name)
    let keys: string[]
    try {
      keys = Object.keys(schema.parse(parse((await contentOf(path)) ?? '')) ?? {})
    } catch (error) {
      throw unreadableConfiguration(
        path,
        error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error),
      )
    }
    const reserved = reservedKey(keys)
    if (reserved !== null) throw reservedArgument(reserved, path)
  }
}

const schema = z.record(z.string(), z.unknown()).nullable()
