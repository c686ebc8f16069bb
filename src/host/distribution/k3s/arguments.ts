/**
 * Arguments that people give to k3s, read as k3s reads them: as far as muster must know what they say, and to find
 * those that are muster's alone to say.
 */

/** One letter is another name of these flags. */
const LETTERS: Readonly<Record<string, string>> = {
  c: 'config',
  d: 'data-dir',
  i: 'node-ip',
  s: 'server',
  t: 'token',
}

/**
 * What decides which cluster this is and who this machine is in it. Said twice, the second would win: one word in
 * a forgotten file could make a second cluster.
 */
const RESERVED: ReadonlySet<string> = new Set([
  'advertise-address',
  'agent-token',
  'agent-token-file',
  'cluster-init',
  'cluster-reset',
  'cluster-reset-restore-path',
  'config',
  'data-dir',
  'datastore-endpoint',
  'disable-apiserver',
  'disable-controller-manager',
  'disable-etcd',
  'https-listen-port',
  'lb-server-port',
  'node-ip',
  'node-name',
  'server',
  'token',
  'token-file',
  'with-node-id',
])

export interface Flag {
  /** Without dashes, in its long form. */
  readonly name: string
  /** Null where it stands alone. */
  readonly value: string | null
}

/** `--name=value`, `--name value`, `-n value`, `--name`; words that belong to no flag are left out. */
export function parseFlags(args: readonly string[]): Flag[] {
  const flags: Flag[] = []
  for (const [i, word] of args.entries()) {
    const match = /^--?([A-Za-z][A-Za-z0-9-]*)(?:=([\s\S]*))?$/.exec(word)
    const [, short] = match ?? []
    if (match === null || short === undefined) continue
    const next = args[i + 1]
    const value = match[2] ?? (next === undefined || next.startsWith('-') ? null : next)
    flags.push({ name: LETTERS[short] ?? short, value })
  }
  return flags
}

/** Every value of a flag that may be given more than once, or as a list. */
export const valuesOf = (args: readonly string[], name: string): string[] =>
  parseFlags(args).flatMap((flag) => (flag.name === name ? (flag.value?.split(',') ?? []) : []))

export const isSaid = (args: readonly string[], name: string): boolean =>
  parseFlags(args).some((flag) => flag.name === name && flag.value !== 'false')

/** The first flag among these that only muster may give; null where there is none. */
export const reservedFlag = (args: readonly string[]): string | null =>
  parseFlags(args).find(({ name }) => RESERVED.has(name))?.name ?? null

/** The same for the keys of a configuration file, where `key+` adds to a list. */
export const reservedKey = (keys: readonly string[]): string | null =>
  keys.find((key) => RESERVED.has(key.replace(/\+$/, ''))) ?? null

/** Variables that stand for such a flag. */
const RESERVED_VARIABLES: ReadonlySet<string> = new Set([
  'K3S_AGENT_TOKEN',
  'K3S_AGENT_TOKEN_FILE',
  'K3S_CLUSTER_INIT',
  'K3S_CLUSTER_RESET',
  'K3S_CONFIG_FILE',
  'K3S_DATASTORE_ENDPOINT',
  'K3S_DATA_DIR',
  'K3S_LB_SERVER_PORT',
  'K3S_NODE_NAME',
  'K3S_TOKEN',
  'K3S_TOKEN_FILE',
  'K3S_URL',
])

export const reservedVariable = (env: Readonly<Record<string, string>>): string | null =>
  Object.keys(env).find((name) => RESERVED_VARIABLES.has(name)) ?? null
