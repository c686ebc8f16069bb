/**
 * The only reader of files and environment for settings. Decides which files count, in which order they are
 * merged, and what they mean; emits one complete NodeConfig, or all faults at once.
 *
 *     files ─▶ documents ─▶ `muster:` of each, checked ─▶ merged ─┬▶ token ─▶ settings
 *                        └▶ Kairos' blocks ─▶ table ──────────────┘
 */
import { publicDatabaseWarnings } from './config/external-db.ts'
import { ConfigError, type ConfigFault, NOWHERE, placeText } from './config/faults.ts'
import { type Flags, type HostSettings, readHostSettings, said } from './config/host-settings.ts'
import { type KairosReading, readKairosBlocks } from './config/kairos-blocks.ts'
import { type Merged, mergeBlocks } from './config/merged.ts'
import { readMusterBlock } from './config/muster-block.ts'
import { publicFileWarnings, readToken, readTokenFile, type TokenText } from './config/network-token.ts'
import { readSettings } from './config/settings.ts'
import { readDocuments } from './config/sources.ts'
import type { HostProblem } from './core/orders.ts'
import type { Settings } from './core/settings.ts'
import type { Token } from './core/token.ts'

export { ConfigError, type ConfigFault } from './config/faults.ts'
export { printableConfig } from './config/print.ts'

export interface NodeConfig extends HostSettings {
  readonly token: Token
  /** Complete: what the core is told. */
  readonly settings: Settings
  /** What was read and means nothing here, and what is unwise: for status and `config check`. */
  readonly warnings: readonly HostProblem[]
  /** Files that were read, in the order in which they were merged. */
  readonly sources: readonly string[]
}

export interface ConfigInputs {
  /** From --config. None: those of MUSTER_CONFIG, else the default places. */
  readonly files: readonly string[]
  /** MUSTER_CONFIG, MUSTER_TOKEN_FILE, MUSTER_STATE, MUSTER_SOCKET. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** Over environment and files. */
  readonly flags: Flags
  /** Prefix of the default places; for tests. */
  readonly root?: string
}

/** @throws ConfigError with all faults that were found. */
export function readConfig(inputs: ConfigInputs): NodeConfig {
  const { files, env, flags, root = '/' } = inputs
  const faults: ConfigFault[] = []
  const warnings: HostProblem[] = []

  const documents = readDocuments(files, env.MUSTER_CONFIG, root, faults)
  const isPartial = faults.length > 0
  // Without a file that can be read everything would be missing, and saying so would help nobody.
  if (documents.length === 0) throw new ConfigError(faults)
  const blocks = documents.flatMap((document) => readMusterBlock(document, faults) ?? [])
  const muster = mergeBlocks(blocks, isPartial, faults)
  const tokenFile = said(env.MUSTER_TOKEN_FILE)
  const hasTokenFile = tokenFile !== undefined || muster.isNamed('token_file')
  const isNamed = (key: string): boolean => muster.isNamed(key) || (key === 'token' && hasTokenFile)
  const kairos = readKairosBlocks(documents, isNamed, faults)

  const text = tokenText(tokenFile, muster, kairos, faults, warnings)
  const token = text === null ? null : readToken(text, kairos, faults, warnings)
  warnings.push(...publicFileWarnings(documents, blocks, kairos))
  warnings.push(...publicDatabaseWarnings(documents, muster, kairos))
  const settings = readSettings({ muster, kairos, text, token, faults, warnings })
  const host = readHostSettings({ flags, env, root, muster, kairos, faults, warnings })

  if (faults.length > 0 || token === null || settings === null) throw new ConfigError(inOrder(faults))
  return {
    token: token.token,
    settings,
    ...host,
    warnings: [...warnings, ...kairos.warnings],
    sources: documents.map(({ file }) => file),
  }
}

/** As a person goes through the files, top to bottom; what no file says comes last. */
function inOrder(faults: readonly ConfigFault[]): ConfigFault[] {
  const files = [...new Set(faults.map(({ file }) => file))]
  const rank = (file: string | null): number => (file === null ? files.length : files.indexOf(file))
  return faults.toSorted((a, b) => rank(a.file) - rank(b.file) || (a.line ?? 0) - (b.line ?? 0))
}

/** Environment over files, muster over Kairos; a token beside a token file is one too many. */
function tokenText(
  variable: string | undefined,
  muster: Merged,
  kairos: KairosReading,
  faults: ConfigFault[],
  warnings: HostProblem[],
): TokenText | null {
  const { token, token_file } = muster.values
  const filePlace =
    variable === undefined ? muster.place('token_file') : { file: null, line: null, key: 'MUSTER_TOKEN_FILE' }
  const file = variable ?? token_file
  if (token !== undefined && file !== undefined) {
    faults.push({
      ...filePlace,
      message: `names a token file, and a token stands in ${placeText(muster.place('token'))}`,
      hint: 'keep one of the two',
    })
    return null
  }
  if (file !== undefined) return readTokenFile(file, filePlace, faults, warnings)
  if (token !== undefined) return { text: token, place: muster.place('token'), isKairos: false }
  if (kairos.draft.token !== null) {
    return { text: kairos.draft.token, place: kairos.place('p2p.network_token'), isKairos: true }
  }
  if (
    !muster.mayBeMeant('token') &&
    !muster.mayBeMeant('token_file') &&
    !kairos.isFaulty('p2p.network_token')
  ) {
    faults.push({
      ...NOWHERE,
      key: 'muster.token',
      message: 'is missing: there is no network token, and no token_file that names one',
      hint: 'make one for all machines with `muster token new --expect N --network NAME`',
    })
  }
  return null
}
