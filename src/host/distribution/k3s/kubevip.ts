/**
 * kube-vip, which moves one address of the LAN between the servers: as a DaemonSet that k3s applies, or as a static
 * pod of each server. muster writes the file and takes its own away again; what k3s applied stays until a person
 * deletes it.
 */
import { join } from 'node:path'
import { stringify } from 'yaml'
import type { K3sSettings } from '../../../core/k3s.ts'
import { HEADER } from './configuration.ts'
import { dropFile, keepFile } from './files.ts'
import { API_PORT, type Places } from './places.ts'

type Kubevip = NonNullable<K3sSettings['kubevip']>

/** Writes what the settings want on a server, and removes what they do not want any more. */
export async function keepKubevip(
  settings: K3sSettings,
  places: Places,
  lanInterface: string | null,
): Promise<void> {
  const { kubevip } = settings
  const files = {
    manifest: join(places.server, 'manifests/muster-kube-vip.yaml'),
    'static-pod': join(places.agent, 'pod-manifests/muster-kube-vip.yaml'),
  }
  for (const mode of ['manifest', 'static-pod'] as const) {
    if (kubevip?.mode === mode) await keepFile(files[mode], textOf(kubevip, places, lanInterface))
    else await dropFile(files[mode], (text) => text.includes(HEADER))
  }
}

function textOf(kubevip: Kubevip, places: Places, lanInterface: string | null): string {
  const documents =
    kubevip.mode === 'manifest' ? daemonSet(kubevip) : [staticPod(kubevip, places, lanInterface)]
  return `${HEADER}\n${documents.map((document) => stringify(document)).join('---\n')}`
}

const NAME = 'kube-vip'
const META = { name: NAME, namespace: 'kube-system' } as const

/** Without an interface kube-vip takes that of the default route, on each machine its own. */
function container(kubevip: Kubevip, networkInterface: string | null): object {
  const env = {
    vip_arp: 'true',
    port: String(API_PORT),
    ...(networkInterface === null ? {} : { vip_interface: networkInterface }),
    vip_cidr: kubevip.eip.includes(':') ? '128' : '32',
    cp_enable: 'true',
    cp_namespace: 'kube-system',
    svc_enable: 'false',
    vip_leaderelection: 'true',
    vip_leaseduration: '5',
    vip_renewdeadline: '3',
    vip_retryperiod: '1',
    address: kubevip.eip,
  }
  return {
    name: NAME,
    image: `${kubevip.image}:${kubevip.version}`,
    imagePullPolicy: 'IfNotPresent',
    args: ['manager'],
    env: Object.entries(env).map(([name, value]) => ({ name, value })),
    securityContext: { capabilities: { add: ['NET_ADMIN', 'NET_RAW'] } },
  }
}

function staticPod(kubevip: Kubevip, places: Places, lanInterface: string | null): object {
  const mountPath = '/etc/kubernetes/admin.conf'
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: META,
    spec: {
      hostNetwork: true,
      hostAliases: [{ hostnames: ['kubernetes'], ip: '127.0.0.1' }],
      containers: [
        {
          ...container(kubevip, kubevip.interface ?? lanInterface),
          volumeMounts: [{ mountPath, name: 'kubeconfig' }],
        },
      ],
      volumes: [{ name: 'kubeconfig', hostPath: { path: places.kubeconfig } }],
    },
  }
}

function daemonSet(kubevip: Kubevip): object[] {
  const labels = { 'app.kubernetes.io/name': NAME }
  const server = (role: string): object => ({
    matchExpressions: [{ key: `node-role.kubernetes.io/${role}`, operator: 'Exists' }],
  })
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: META },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name: 'system:kube-vip-role' },
      rules: [
        { apiGroups: [''], resources: ['services/status'], verbs: ['update'] },
        {
          apiGroups: [''],
          resources: ['services', 'endpoints'],
          verbs: ['list', 'get', 'watch', 'update'],
        },
        { apiGroups: [''], resources: ['nodes'], verbs: ['list', 'get', 'watch', 'update', 'patch'] },
        {
          apiGroups: ['coordination.k8s.io'],
          resources: ['leases'],
          verbs: ['list', 'get', 'watch', 'update', 'create'],
        },
        {
          apiGroups: ['discovery.k8s.io'],
          resources: ['endpointslices'],
          verbs: ['list', 'get', 'watch', 'update'],
        },
      ],
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name: 'system:kube-vip-binding' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'system:kube-vip-role' },
      subjects: [{ kind: 'ServiceAccount', name: NAME, namespace: 'kube-system' }],
    },
    {
      apiVersion: 'apps/v1',
      kind: 'DaemonSet',
      metadata: { ...META, labels },
      spec: {
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            serviceAccountName: NAME,
            hostNetwork: true,
            affinity: {
              nodeAffinity: {
                requiredDuringSchedulingIgnoredDuringExecution: {
                  nodeSelectorTerms: [server('control-plane'), server('master')],
                },
              },
            },
            tolerations: [
              { effect: 'NoSchedule', operator: 'Exists' },
              { effect: 'NoExecute', operator: 'Exists' },
            ],
            containers: [container(kubevip, kubevip.interface)],
          },
        },
      },
    },
  ]
}
