/**
 * k3s out of the configuration: what goes into the plan, for every machine, from `muster.distribution:` and, where
 * that says nothing, from Kairos' blocks. Decides what must fit together: ranges, checksums, addresses.
 */
import ipaddr from 'ipaddr.js'
import { type K3sArguments, type K3sSettings, k3sSettingsSchema, plainK3s } from '../core/k3s.ts'
import type { VpnMode } from '../core/settings.ts'
import { fileNameOf, readChecksum } from './checksums.ts'
import { DISTRIBUTION_DEFAULTS } from './distribution.ts'
import { type ConfigFault, NOWHERE, type Place, shown } from './faults.ts'
import { flagValue } from './k3s-reserved.ts'
import type { KairosArguments } from './kairos.ts'
import type { KairosReading } from './kairos-blocks.ts'
import type { Merged } from './merged.ts'
import { KUBERNETES_RANGES, overlaps } from './vpn.ts'

export interface K3sInputs {
  readonly muster: Merged
  readonly kairos: KairosReading
  readonly faults: ConfigFault[]
}

type Arch = K3sSettings['artefacts'][number]['arch']

/** The binary's name in k3s' own releases, and in their lists of checksums. */
const RELEASE_NAMES: Readonly<Record<Arch, string>> = { amd64: 'k3s', arm64: 'k3s-arm64', arm: 'k3s-armhf' }
const ARCHES = ['amd64', 'arm64', 'arm'] as const satisfies readonly Arch[]

/** @returns null where a fault says why. */
export function readK3s(
  inputs: K3sInputs,
  vpn: { readonly mode: VpnMode; readonly cidr: string },
): K3sSettings | null {
  const { muster, kairos, faults } = inputs
  const given = muster.values.distribution ?? {}
  const theirs = kairos.draft.k3s
  const before = faults.length
  const settings: K3sSettings = {
    ...plainK3s(),
    version: given.version ?? null,
    artefacts: readArtefacts(inputs),
    images: readImages(inputs),
    server: roleArguments(given, theirs.server),
    agent: roleArguments(given.agent ?? {}, theirs.agent),
    flannel: given.flannel ?? DISTRIBUTION_DEFAULTS.flannel,
    registry: given.registry ?? theirs.registry ?? false,
    external:
      given.external_db !== undefined || given.external_db_file !== undefined || theirs.externalDb !== null,
    kubevip: readKubevip(inputs, vpn.cidr),
    rules: readRules(inputs),
  }
  if (
    settings.artefacts.length > 0 &&
    settings.version === null &&
    !muster.mayBeMeant('distribution.version')
  ) {
    faults.push({
      ...muster.place('distribution.download'),
      message: 'says where k3s is, but muster.distribution.version does not say which it is',
      hint: 'write the release, such as v1.33.4+k3s1: a rollout goes by it',
    })
  }
  checkRanges(inputs, settings.server.args, vpn)
  if (faults.length > before) return null
  const parsed = k3sSettingsSchema.safeParse(settings)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  faults.push({
    ...muster.place('distribution'),
    key: 'muster.distribution',
    message: issue?.message ?? 'cannot go into the plan',
    hint: 'every member keeps it: shorten arguments, rules and URLs',
  })
  return null
}

type GivenArguments = {
  readonly args?: readonly string[] | undefined
  readonly env?: Readonly<Record<string, string>> | undefined
  readonly replace_args?: boolean | undefined
  readonly replace_env?: boolean | undefined
}

const roleArguments = (given: GivenArguments, theirs: KairosArguments): K3sArguments => ({
  args: [...(given.args ?? theirs.args ?? [])],
  env: { ...(given.env ?? theirs.env) },
  replaceArgs: given.replace_args ?? theirs.replaceArgs ?? false,
  replaceEnv: given.replace_env ?? theirs.replaceEnv ?? false,
})

function readArtefacts({ muster, faults }: K3sInputs): K3sSettings['artefacts'] {
  const download = muster.values.distribution?.download ?? {}
  return ARCHES.flatMap((arch) => {
    const { url, checksum } = download[arch] ?? {}
    const key = `distribution.download.${arch}`
    if (url === undefined && checksum === undefined) return []
    if (checksum === undefined) return missingChecksum(muster.place(`${key}.url`), faults)
    const name = url === undefined ? RELEASE_NAMES[arch] : fileNameOf(url)
    const sha256 = readChecksum(checksum, name, muster.place(`${key}.checksum`), faults)
    return sha256 === null ? [] : [{ arch, url: url ?? null, sha256 }]
  })
}

function readImages({ muster, faults }: K3sInputs): K3sSettings['images'] {
  const images = muster.values.distribution?.images ?? []
  const all = images.flatMap(({ url, checksum, name }, index) => {
    const key = `distribution.images.${index}`
    const called = name ?? (url === undefined ? undefined : fileNameOf(url))
    if (called === undefined) {
      const message = 'has neither url nor name'
      faults.push({ ...muster.place(key), message, hint: 'write where the archive is, or what it is called' })
      return []
    }
    if (checksum === undefined) return missingChecksum(muster.place(key), faults)
    const sha256 = readChecksum(checksum, called, muster.place(`${key}.checksum`), faults)
    return sha256 === null ? [] : [{ name: called, url: url ?? null, sha256 }]
  })
  const twice = all.findIndex(({ name }, index) => all.some((other, at) => at < index && other.name === name))
  if (twice !== -1) {
    const message = `names ${shown(all[twice]?.name)} a second time`
    faults.push({
      ...muster.place('distribution.images'),
      message,
      hint: 'give each archive a name of its own',
    })
  }
  return all
}

/** Whatever comes from somewhere else is run as root on every machine. */
function missingChecksum(place: Place, faults: ConfigFault[]): [] {
  const hint = 'add checksum: the hash, or the file with checksums that the release comes with'
  faults.push({ ...place, message: 'has no checksum: what is fetched must be known', hint })
  return []
}

function readKubevip({ muster, kairos, faults }: K3sInputs, vpnCidr: string): K3sSettings['kubevip'] {
  const given = muster.values.distribution?.kubevip ?? {}
  const theirs = kairos.draft.k3s.kubevip
  const eip = given.eip ?? (theirs.enabled === false ? null : theirs.eip)
  if (eip === null || eip === undefined) {
    const named = (['interface', 'mode', 'version', 'image'] as const).find((key) => given[key] !== undefined)
    if (named !== undefined && !muster.mayBeMeant('distribution.kubevip.eip')) {
      faults.push({
        ...muster.place(`distribution.kubevip.${named}`),
        message: 'means nothing without distribution.kubevip.eip',
        hint: 'write the address that moves between the servers',
      })
    }
    return null
  }
  if (ipaddr.IPv4.isValid(eip) && overlaps(`${eip}/32`, vpnCidr)) {
    faults.push({
      ...(given.eip === undefined ? kairos.place('kubevip.eip') : muster.place('distribution.kubevip.eip')),
      message: `is in ${vpnCidr}, the range of the mesh`,
      hint: 'take a free address of the network that people reach the servers by',
    })
  }
  const { mode, version, image } = DISTRIBUTION_DEFAULTS.kubevip
  return {
    eip,
    interface: given.interface ?? theirs.interface,
    mode: given.mode ?? (theirs.staticPod === true ? 'static-pod' : mode),
    version: given.version ?? theirs.version ?? version,
    image: given.image ?? theirs.image ?? image,
  }
}

function readRules({ muster, faults }: K3sInputs): K3sSettings['rules'] {
  return (muster.values.distribution?.rules ?? []).map(({ names, role, labels = {}, taints = [] }, index) => {
    if (Object.keys(labels).length === 0 && taints.length === 0) {
      const place = muster.place(`distribution.rules.${index}`)
      faults.push({
        ...place,
        message: 'gives no labels and no taints',
        hint: 'add some, or remove the rule',
      })
    }
    return { match: { names: names ?? null, role: role ?? null }, labels, taints }
  })
}

/** The ranges of pods and services in the arguments, or k3s' own, beside that of the mesh and each other. */
function checkRanges(
  { muster, kairos, faults }: K3sInputs,
  args: readonly string[],
  { mode, cidr }: { readonly mode: VpnMode; readonly cidr: string },
): void {
  const isOwn = muster.values.distribution?.args !== undefined
  const ranges = KUBERNETES_RANGES.map(({ flag, what, range }) => {
    const found = flagValue(args, flag)
    const place =
      found === null
        ? null
        : isOwn
          ? muster.place(`distribution.args.${found.index}`)
          : kairos.place('k3s.args')
    return { flag, what, place, ranges: found === null ? [range] : found.value.split(',') }
  })
  for (const { flag, place, ranges: own } of ranges) {
    const wrong = own.find((range) => !ipaddr.isValidCIDR(range.trim()))
    if (wrong === undefined || place === null) continue
    const message = `--${flag} must be a prefix such as 10.52.0.0/16, not ${shown(wrong)}`
    faults.push({ ...place, message, hint: 'write --cluster-cidr=PREFIX' })
    return
  }
  for (const { what, place, ranges: own } of mode === 'none' ? [] : ranges) {
    const range = own.find((each) => overlaps(each.trim(), cidr))
    if (range === undefined) continue
    const mesh = muster.place('vpn.cidr')
    faults.push({
      ...(place ?? (mesh.file === null ? { ...NOWHERE, key: 'muster.vpn.cidr' } : mesh)),
      message:
        place === null
          ? `${cidr} overlaps with ${range}, which k3s takes for ${what}`
          : `${range} for ${what} overlaps with ${cidr}, the range of the mesh`,
      hint: 'take another range: what is on the mesh could not be told from what is in the cluster',
    })
  }
  const [pods, services] = ranges
  const place = services?.place ?? pods?.place ?? null
  if (pods === undefined || services === undefined || place === null) return
  const both = pods.ranges.find((range) =>
    services.ranges.some((other) => overlaps(range.trim(), other.trim())),
  )
  if (both === undefined) return
  const message = `the ranges of pods and services overlap in ${both}`
  faults.push({ ...place, message, hint: 'take two ranges, such as 10.52.0.0/16 and 10.53.0.0/16' })
}
