/** What the core is told, out of token, merged `muster:` blocks and Kairos' words; and what must fit together. */
import { capacityOf } from '../core/addresses.ts'
import { foundingQuorum } from '../core/genesis.ts'
import type { HostProblem } from '../core/orders.ts'
import { type DistributionKind, MEMBERSHIP_DEFAULTS, type Settings } from '../core/settings.ts'
import { deriveKeys } from '../core/token.ts'
import { DISTRIBUTION_DEFAULTS } from './distribution.ts'
import { type ConfigFault, NOWHERE, type Place, placeText } from './faults.ts'
import { readK3s } from './k3s.ts'
import { isOfK3s } from './kairos.ts'
import type { KairosReading } from './kairos-blocks.ts'
import type { Merged } from './merged.ts'
import type { NetworkToken, TokenText } from './network-token.ts'
import { DEFAULTS } from './schema.ts'
import { isPrivate, kubernetesFault } from './vpn.ts'

const FREE_RANGE = 'take a private range that no network of yours uses, such as 10.86.0.0/16'

export interface SettingsInputs {
  readonly muster: Merged
  readonly kairos: KairosReading
  /** Null where a fault says why. */
  readonly text: TokenText | null
  /** Null where a fault says why. */
  readonly token: NetworkToken | null
  readonly faults: ConfigFault[]
  readonly warnings: HostProblem[]
}

/** Null, with a fault, where something that must be there is missing. */
export function readSettings(inputs: SettingsInputs): Settings | null {
  const { muster, kairos, token, faults, warnings } = inputs
  const { values } = muster
  const kind = distributionKind(inputs)
  const expect = expectedMachines(inputs)
  checkNetworkId(inputs)
  const vpnCidr = values.vpn?.cidr ?? DEFAULTS.vpn.cidr
  const vpnMode = values.vpn?.mode ?? kairos.draft.vpnMode ?? DEFAULTS.vpn.mode
  const k3s = kind === 'k3s' ? readK3s(inputs, { mode: vpnMode, cidr: vpnCidr }) : null
  if (kind !== null && kind !== 'k3s') {
    checkUnused(inputs, kind)
    const message = kubernetesFault(vpnCidr)
    if (message !== null) faults.push({ ...muster.place('vpn.cidr'), message, hint: FREE_RANGE })
  }
  const servers = values.servers ?? kairos.draft.servers ?? DEFAULTS.servers
  const maxNodes = values.max_nodes ?? Math.min(DEFAULTS.maxNodes, capacityOf(vpnCidr))
  if (!isPrivate(vpnCidr)) {
    warnings.push({
      code: 'config.public-range',
      severity: 'warning',
      message: `${placeText(muster.place('vpn.cidr'))}: ${vpnCidr} is not for private use: its hosts on the internet cannot be reached`,
      hint: 'take a range within 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or 100.64.0.0/10',
    })
  }
  if (maxNodes > capacityOf(vpnCidr)) {
    faults.push({
      ...muster.place('max_nodes'),
      message: `is ${maxNodes}, but ${vpnCidr} has addresses for ${capacityOf(vpnCidr)}`,
      hint: 'take a larger vpn.cidr, or fewer nodes',
    })
  }
  if (expect === null || kind === null || token === null) return null
  if (expect > maxNodes) {
    const isOwn = values.max_nodes !== undefined
    faults.push({
      ...muster.place(isOwn ? 'max_nodes' : 'vpn.cidr'),
      message: `leaves room for ${maxNodes} nodes, but ${expect} are expected on the first day`,
      hint: isOwn ? 'raise it' : 'take a larger range',
    })
  }
  if (typeof servers === 'number' && servers > expect) {
    warnings.push({
      code: 'config.servers',
      severity: 'warning',
      message: `${servers} servers are wanted, but only ${expect} machines are expected on the first day: there will be fewer`,
      hint: 'servers come from the machines of the first day; take a smaller number, or auto',
    })
  }
  checkFounders(inputs, expect)
  const { networkId } = deriveKeys(token.token)
  return {
    network: token.token.network,
    networkId,
    expect,
    pin: token.token.pin,
    settleMs: values.settle ?? DEFAULTS.settleMs,
    founders: values.founders ?? null,
    serverPreference: serverPreference(inputs),
    allowEphemeral: values.allow_ephemeral ?? DEFAULTS.allowEphemeral,
    cluster: {
      servers,
      admission: values.admission ?? DEFAULTS.admission,
      maxNodes,
      vpnMode,
      vpnCidr,
      distribution: kind,
      k3s,
      promote: values.promote ?? MEMBERSHIP_DEFAULTS.promote,
      replaceAfterMs: values.replace_after ?? MEMBERSHIP_DEFAULTS.replaceAfterMs,
      operators: values.operators ?? MEMBERSHIP_DEFAULTS.operators,
    },
  }
}

/** `role: agent` binds; without it a machine may only have a wish. */
function serverPreference({ muster, kairos, faults }: SettingsInputs): Settings['serverPreference'] {
  const { role, server_preference: wish } = muster.values
  const isAgent = (role ?? (kairos.draft.isAgent ? 'agent' : DEFAULTS.role)) === 'agent'
  if (!isAgent) return wish ?? kairos.draft.serverPreference ?? DEFAULTS.serverPreference
  if (wish !== undefined && wish !== 'avoid') {
    faults.push({
      ...muster.place('server_preference'),
      message: `is ${wish}, but ${placeText(role === undefined ? kairos.place('p2p.role') : muster.place('role'))} says that this machine is never a server`,
      hint: 'keep one of the two',
    })
  }
  return 'never'
}

/** k3s, unless told otherwise; null where that was meant to be said, and a fault says why it was not. */
function distributionKind({ muster, kairos, faults }: SettingsInputs): DistributionKind | null {
  const kind = muster.values.distribution?.kind
  if (kind !== undefined) return kind
  if (muster.mayBeMeant('distribution.kind')) return null
  if (kairos.draft.wantsK0s) {
    faults.push({
      ...kairos.place('k0s.enabled'),
      message: 'asks for k0s, which is not a distribution of muster',
      hint: 'remove it, or say by `muster: {distribution: {kind: k3s}}` that k3s may take its place',
    })
    return null
  }
  return DISTRIBUTION_DEFAULTS.kind
}

/** Keys of k3s where something else is to run are a mistake in our block, and none in Kairos'. */
function checkUnused({ muster, kairos, faults, warnings }: SettingsInputs, kind: DistributionKind): void {
  for (const key of Object.keys(muster.values.distribution ?? {})) {
    if (key === 'kind') continue
    faults.push({
      ...muster.place(`distribution.${key}`),
      message: `means nothing where distribution.kind is ${kind}`,
      hint: 'remove it, or write kind: k3s',
    })
  }
  for (const key of kairos.given.filter(isOfK3s)) {
    if (kairos.warnings.some(({ message }) => message.startsWith(`${placeText(kairos.place(key))}: `)))
      continue
    warnings.push({
      code: 'config.ignored',
      severity: 'warning',
      message: `${placeText(kairos.place(key))}: is not looked at, because distribution.kind is ${kind}`,
      hint: 'remove it, or write `muster: {distribution: {kind: k3s}}`',
    })
  }
}

/** From the token; where it does not say, from the configuration. Two answers are one too many. */
function expectedMachines(inputs: SettingsInputs): number | null {
  const { muster, kairos, text, token, faults, warnings } = inputs
  const own = muster.values.expect
  const theirs = kairos.draft.expect
  if (text === null || token === null) return null
  const fromToken = token.token.expect
  if (fromToken !== null) {
    const place = own !== undefined ? muster.place('expect') : kairos.place('p2p.minimum_nodes')
    const other = own ?? (text.isKairos && theirs?.isWritten === true ? theirs.count : fromToken)
    if (other !== fromToken) {
      faults.push({
        ...place,
        message: `is ${other}, but the token in ${placeText(text.place)} expects ${fromToken} machines`,
        hint: 'remove it here, or make a token with the right number for all machines',
      })
    }
    return fromToken
  }
  if (own !== undefined) return own
  if (theirs === null) {
    if (!muster.mayBeMeant('expect')) {
      faults.push({
        ...NOWHERE,
        key: 'muster.expect',
        message: `is missing: the token in ${placeText(text.place)} does not say how many machines there are on the first day`,
        hint: 'write it, the same on every machine, or use a token of `muster token new`, which carries it',
      })
    }
    return null
  }
  const place: Place = kairos.place('p2p.minimum_nodes')
  warnings.push({
    code: 'config.minimum-nodes',
    severity: 'warning',
    message: `${placeText(place)}: ${theirs.isWritten ? `is read as "${theirs.count} machines` : `is not given: ${theirs.count}, as in Kairos, is read as "${theirs.count} machines`} on the first day"; those beyond join as agents`,
    hint: 'set muster.expect to the number of machines that boot together',
  })
  return theirs.count
}

/** A token of muster names its network. Another name beside it was meant to keep two clusters apart. */
function checkNetworkId({ kairos, text, token, faults }: SettingsInputs): void {
  const id = kairos.draft.networkId
  if (text?.isKairos !== true || token === null || token.isForeign || id === null) return
  if (id === token.token.network) return
  faults.push({
    ...kairos.place('p2p.network_id'),
    message: `differs from the network that the token names, ${token.token.network}`,
    hint: 'remove it here, or make a token for this network: `muster token new --network NAME`',
  })
}

function checkFounders({ muster, faults }: SettingsInputs, expect: number): void {
  const { founders } = muster.values
  const quorum = foundingQuorum(expect)
  if (founders === undefined || new Set(founders).size >= quorum) return
  faults.push({
    ...muster.place('founders'),
    message: `names ${new Set(founders).size}, but with ${expect} machines expected it takes ${quorum} to found`,
    hint: 'name more of the machines of the first day, or leave it out',
  })
}
