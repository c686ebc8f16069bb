/**
 * Arguments and variables of k3s that are muster's to give: who initialises, whom to join, by which token, under
 * which name and address. A person who gave one would make a second cluster, or one that nothing can reach.
 */
import { shown } from './faults.ts'

const WHO = 'muster decides, once, who initialises and who joins whom'
const TOKENS = 'muster makes the tokens of k3s, and keeps them from the others'
const PLACE = 'muster takes it from the plan, the same on every machine'
const RESTORE = 'only a person may reset a datastore'

/** Without the dashes; each with what to do instead. */
const ARGUMENTS: Readonly<Record<string, string>> = {
  'cluster-init': WHO,
  server: WHO,
  s: WHO,
  'cluster-reset': RESTORE,
  'cluster-reset-restore-path': RESTORE,
  token: TOKENS,
  t: TOKENS,
  'token-file': TOKENS,
  'agent-token': TOKENS,
  'agent-token-file': TOKENS,
  config: 'muster writes the configuration of k3s',
  c: 'muster writes the configuration of k3s',
  'data-dir': 'write muster.distribution.data_dir',
  d: 'write muster.distribution.data_dir',
  'datastore-endpoint': 'write muster.distribution.external_db, which is kept secret',
  'node-name': PLACE,
  'node-ip': PLACE,
  i: PLACE,
  'advertise-address': PLACE,
  'flannel-iface': PLACE,
  'flannel-backend': 'write muster.distribution.flannel',
  'embedded-registry': 'write muster.distribution.registry',
  'disable-etcd': 'every server of muster is a whole one',
  'disable-apiserver': 'every server of muster is a whole one',
  'disable-controller-manager': 'every server of muster is a whole one',
  'disable-scheduler': 'every server of muster is a whole one',
}

const VARIABLES: Readonly<Record<string, string>> = {
  K3S_CLUSTER_INIT: WHO,
  K3S_URL: WHO,
  K3S_CLUSTER_RESET: RESTORE,
  K3S_TOKEN: TOKENS,
  K3S_TOKEN_FILE: TOKENS,
  K3S_CLUSTER_SECRET: TOKENS,
  K3S_AGENT_TOKEN: TOKENS,
  K3S_AGENT_TOKEN_FILE: TOKENS,
  K3S_CONFIG_FILE: 'muster writes the configuration of k3s',
  K3S_DATA_DIR: 'write muster.distribution.data_dir',
  K3S_DATASTORE_ENDPOINT: 'write muster.distribution.external_db, which is kept secret',
  K3S_NODE_NAME: PLACE,
}

/** The flag of an argument without its dashes and value; null for what is none. */
const flagOf = (argument: string): string | null =>
  /^--?([A-Za-z][A-Za-z0-9-]*)(?:[=\s]|$)/.exec(argument)?.[1] ?? null

/** What is wrong with one argument of the command line, null for nothing. */
export function argumentFault(argument: string): string | null {
  if (argument.length > ARGUMENT_MAX) return `has more than ${ARGUMENT_MAX} characters`
  const flag = flagOf(argument)
  if (flag === null) return null
  const why = ARGUMENTS[flag]
  if (why !== undefined) return `--${flag} is not yours to give: ${why}`
  return /^--?[A-Za-z][A-Za-z0-9-]*\s/.test(argument)
    ? `holds a space: write ${shown(`--${flag}=…`)}, or the value as the next item`
    : null
}

const ARGUMENT_MAX = 512

/** What is wrong with the name of an environment variable, null for nothing. */
export function variableFault(name: string): string | null {
  if (!/^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(name)) return 'is no name of an environment variable'
  const why = VARIABLES[name]
  return why === undefined ? null : `is not yours to give: ${why}`
}

/** The value of a flag among arguments, in both ways of writing it, and where it stands; the last one counts. */
export function flagValue(
  args: readonly string[],
  flag: string,
): { readonly value: string; readonly index: number } | null {
  let found: { readonly value: string; readonly index: number } | null = null
  for (const [index, argument] of args.entries()) {
    if (argument === `--${flag}`) found = { value: args[index + 1] ?? '', index }
    else if (argument.startsWith(`--${flag}=`)) found = { value: argument.slice(flag.length + 3), index }
  }
  return found
}
