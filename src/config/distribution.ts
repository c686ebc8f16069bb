/** The keys under `muster.distribution:`: what runs on the mesh, where its binary comes from, how it is started. */
import ipaddr from 'ipaddr.js'
import { z } from 'zod'
import { k3sVersion } from '../core/k3s.ts'
import type { DistributionKind } from '../core/settings.ts'
import { externalDbFault } from './external-db.ts'
import { shown } from './faults.ts'
import { argumentFault, variableFault } from './k3s-reserved.ts'
import { absolutePath, checked, item, section, text, texts, trueOrFalse, wants } from './values.ts'

export const DISTRIBUTION_DEFAULTS = {
  kind: 'k3s',
  /** Encapsulates, so that it works whatever is between two machines; host-gw needs them on one network. */
  flannel: 'vxlan',
  dataDirectory: '/var/lib/rancher/k3s',
  kubevip: {
    mode: 'manifest',
    /** What Kairos takes. */
    version: 'v1.2.3',
    image: 'ghcr.io/kube-vip/kube-vip',
  },
} as const

const KINDS: readonly DistributionKind[] = ['k3s', 'etcd', 'none']

const ARGUMENTS_MAX = 64
const argument = checked('an argument such as --disable=traefik', argumentFault)
const args = z
  .array(argument, wants('a list of arguments'))
  .max(ARGUMENTS_MAX, `has more than ${ARGUMENTS_MAX}`)
const roleArguments = {
  args,
  env: texts('a text', variableFault),
  replace_args: trueOrFalse,
  replace_env: trueOrFalse,
}

/** Every member of the cluster reads the plan, in which it stands. */
const url = checked('a URL', (value) => {
  if (!/^https?:\/\//.test(value) || !URL.canParse(value)) return 'must begin with https:// or http://'
  if (value.length > 1_024) return 'has more than 1024 characters'
  const { username, password } = new URL(value)
  return username === '' && password === '' ? null : 'must not hold a user or a password'
})
/** A hash, or a file with lines of hash and name as releases of k3s have it. */
const checksum = text('a SHA-256 checksum, or a file of them')
const binary = section({ url, checksum })

const ARCHITECTURES = { amd64: binary, arm64: binary, arm: binary }

const image = item({
  url,
  checksum,
  name: text('a name').regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/, wants('the name of a file')),
})

const kubevip = {
  eip: checked('an IP address', (value) =>
    ipaddr.isValid(value) ? null : `is no IP address: ${shown(value)}`,
  ),
  interface: text('the name of an interface').max(15, wants('the name of an interface')),
  mode: z.enum(['manifest', 'static-pod'], wants('manifest or static-pod')),
  version: text('a version').max(64, wants('a version')),
  image: text('an image').max(256, wants('an image')),
}

const glob = text('a name with * and ?').max(63, wants('a name with * and ?'))
const LABEL = /^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/
const LABEL_VALUE = /^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$/
const TAINT = /^([^=:]+)(?:=([^=:]*))?:(NoSchedule|PreferNoSchedule|NoExecute)$/

const labelFault = (name: string): string | null => (LABEL.test(name) ? null : 'is no name of a label')

function taintFault(value: string): string | null {
  const [, name = '', content = ''] = TAINT.exec(value) ?? []
  return LABEL.test(name) && LABEL_VALUE.test(content)
    ? null
    : `must be key:Effect or key=value:Effect with NoSchedule, PreferNoSchedule or NoExecute, not ${shown(value)}`
}

const rule = item({
  names: z.array(glob, wants('a list of names')).min(1, 'names nobody').max(64, 'has more than 64'),
  role: z.enum(['server', 'agent'], wants('server or agent')),
  labels: texts('a text', labelFault).superRefine((labels, context) => {
    for (const [name, value] of Object.entries(labels)) {
      if (!LABEL_VALUE.test(value)) {
        context.addIssue({ code: 'custom', path: [name], message: `is no value of a label: ${shown(value)}` })
      }
    }
  }),
  taints: z.array(checked('a taint', taintFault), wants('a list of taints')).max(32, 'has more than 32'),
})

const hook = text('a command').max(4_096, wants('a command'))
const hookList = z.array(hook, wants('a list of commands')).max(32, 'has more than 32')

export const SECTIONS = {
  agent: roleArguments,
  kubevip,
  hooks: { before: hookList, after: hookList },
  download: ARCHITECTURES,
  ...Object.fromEntries(Object.keys(ARCHITECTURES).map((arch) => [`download.${arch}`, { url, checksum }])),
}

export const distribution = {
  kind: z.enum(KINDS, wants('k3s, etcd or none')),
  version: checked('a release of k3s such as v1.33.4+k3s1', (value) =>
    k3sVersion(value) === null ? `must be a release of k3s such as v1.33.4+k3s1, not ${shown(value)}` : null,
  ),
  bin: absolutePath,
  bin_dir: absolutePath,
  data_dir: absolutePath,
  download: section(ARCHITECTURES),
  images: z.array(image, wants('a list of archives')).max(16, 'has more than 16'),
  ...roleArguments,
  agent: section(roleArguments),
  flannel: z.enum(['vxlan', 'host-gw', 'none'], wants('vxlan, host-gw or none')),
  registry: trueOrFalse,
  external_db: checked('the address of a datastore', externalDbFault),
  external_db_file: text('a path'),
  kubevip: section(kubevip),
  rules: z.array(rule, wants('a list of rules')).max(64, 'has more than 64'),
  hooks: section(SECTIONS.hooks),
}

export const distributionSchema = section(distribution)
