/**
 * Labels and taints of a node by the plan's rules: by its name and what it does in the cluster. The kubelet
 * registers them with its Node; afterwards servers keep the Node to them (see nodes.ts).
 */
import type { K3sRule } from '../../../core/k3s.ts'
import { matchesRule } from '../../../core/k3s.ts'
import type { Role } from './places.ts'

export interface Marks {
  readonly labels: Readonly<Record<string, string>>
  /** `key=value:Effect` or `key:Effect`, ordered. */
  readonly taints: readonly string[]
}

/** Later rules win where two say the same label. */
export function marksOf(rules: readonly K3sRule[], name: string, role: Role): Marks {
  const matching = rules.filter((rule) => matchesRule(rule, name, role))
  return {
    labels: Object.assign({}, ...matching.map((rule) => rule.labels)),
    taints: [...new Set(matching.flatMap((rule) => rule.taints))].sort(),
  }
}

/**
 * Whether a kubelet may give itself this label: it refuses to start with others in Kubernetes' own name spaces
 * (KEP 279), which then only the API server gives.
 */
export function isForKubelet(label: string): boolean {
  const space = /^([^/]+)\//.exec(label)?.[1]
  if (space === undefined || !/(^|\.)(kubernetes|k8s)\.io$/.test(space)) return true
  return /(^|\.)(kubelet|node)\.kubernetes\.io$/.test(space) || KUBELET_LABELS.has(label)
}

const KUBELET_LABELS: ReadonlySet<string> = new Set([
  'kubernetes.io/hostname',
  'kubernetes.io/arch',
  'kubernetes.io/os',
  'beta.kubernetes.io/arch',
  'beta.kubernetes.io/os',
  'beta.kubernetes.io/instance-type',
  'failure-domain.beta.kubernetes.io/region',
  'failure-domain.beta.kubernetes.io/zone',
  'topology.kubernetes.io/region',
  'topology.kubernetes.io/zone',
])
