/**
 * Who may import whom: the arrows of the layout. What is allowed is listed; everything else is a fault, so that
 * a new room or package is a decision.
 */
import { posix } from 'node:path'
import { type Fault, faultAt, type Source } from './source.ts'

interface Room {
  /** Paths that it is. The first room that fits a file is the file's. */
  readonly is: RegExp
  /** Files of this project that it may import, beside its own. */
  readonly from: RegExp
  /** Packages and modules of Node that it may import. */
  readonly packages: RegExp
}

const ANY = /./
const NONE = /^$/

export const ROOMS: Readonly<Record<string, Room>> = {
  core: {
    is: /^src\/core\//,
    from: NONE,
    packages: /^(zod|@ipld\/dag-cbor|multiformats\/.*|@noble\/hashes\/.*)$/,
  },
  // The one file of the host that knows the settings: it makes a node of its parts.
  daemon: {
    is: /^src\/host\/daemon\.ts$/,
    from: /^src\/(core|host)\/|^src\/config\.ts$/,
    packages: ANY,
  },
  host: { is: /^src\/host\//, from: /^src\/core\//, packages: ANY },
  // What is an address, and what the mesh takes where nothing is said, is known in one place.
  config: {
    is: /^src\/config(\/|\.ts$)/,
    from: /^src\/core\/|^src\/host\/(network\/(addresses|errors)|mesh\/mesh)\.ts$/,
    packages: ANY,
  },
  // A thin client of the daemon: `up` starts one, `reset` works without one, and errors are told apart.
  cli: {
    is: /^src\/cli\//,
    from: /^src\/core\/|^src\/config(\/|\.ts$)|^src\/host\/(daemon|reset|api\/(client|errors|schema|view)|[a-z/-]*errors)\.ts$/,
    packages: ANY,
  },
  main: { is: /^src\/main\.ts$/, from: /^src\/|^package\.json$/, packages: ANY },
  sim: { is: /^sim\//, from: /^src\//, packages: ANY },
  test: { is: /^test\//, from: /^(src|sim|scripts)\/|^package\.json$|^vitest\.config\.ts$/, packages: ANY },
  scripts: { is: /^scripts\//, from: /^package\.json$/, packages: ANY },
}

export function importFaults(source: Source): Fault[] {
  const own = Object.entries(ROOMS).find(([, { is }]) => is.test(source.path))
  if (own === undefined) return [faultAt(source, 0, 'it is in no room that the import rules know')]
  const [name, room] = own
  const faults: Fault[] = []
  const check = (specifier: string, offset: number): void => {
    const isFile = specifier.startsWith('.')
    const target = isFile ? posix.join(posix.dirname(source.path), specifier) : specifier
    const isAllowed = isFile ? room.is.test(target) || room.from.test(target) : room.packages.test(target)
    if (!isAllowed) faults.push(faultAt(source, offset, `${name} must not import ${target}`))
  }
  const { staticImports, staticExports, dynamicImports } = source.module
  for (const { moduleRequest, start } of staticImports) check(moduleRequest.value, start)
  for (const { entries, start } of staticExports) {
    for (const { moduleRequest } of entries) if (moduleRequest !== null) check(moduleRequest.value, start)
  }
  for (const { moduleRequest, start } of dynamicImports) {
    const text = source.text.slice(moduleRequest.start, moduleRequest.end)
    const literal = /^(['"])(.*)\1$/s.exec(text)?.[2]
    if (literal !== undefined) check(literal, start)
    else if (source.path.startsWith('src/'))
      faults.push(faultAt(source, start, `${name} must not import what it computes: no tool can follow it`))
  }
  return faults
}
