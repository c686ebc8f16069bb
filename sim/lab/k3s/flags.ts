/**
 * The flags that k3s v1.33 knows, by command and kind. A flag is also a key of config.yaml. What is not here is
 * refused on the command line, whatever the double itself makes of what is.
 */

export type FlagKind = 'text' | 'boolean' | 'list'

const words = (text: string): string[] => text.trim().split(/\s+/)

const BOTH = {
  boolean: words(`debug alsologtostderr with-node-id docker disable-default-registry-endpoint
    protect-kernel-defaults rootless prefer-bundled-bin selinux enable-pprof disable-apiserver-lb`),
  list: words(`node-label node-taint airgap-extra-registry node-ip node-external-ip node-internal-dns
    node-external-dns kubelet-arg kube-proxy-arg`),
  text: words(`config v vmodule log bind-address token token-file server data-dir node-name default-runtime
    image-credential-provider-bin-dir image-credential-provider-config container-runtime-endpoint
    image-service-endpoint pause-image snapshotter private-registry resolv-conf flannel-iface flannel-conf
    flannel-cni-conf vpn-auth vpn-auth-file lb-server-port nonroot-devices`),
}

const SERVER = {
  boolean: words(`tls-san-security flannel-ipv6-masq flannel-external-ip cluster-init cluster-reset
    etcd-expose-metrics etcd-disable-snapshots etcd-snapshot-compress etcd-s3 etcd-s3-skip-ssl-verify
    etcd-s3-insecure disable-scheduler disable-cloud-controller disable-kube-proxy disable-network-policy
    disable-helm-controller disable-apiserver disable-controller-manager disable-etcd embedded-registry
    supervisor-metrics secrets-encryption disable-agent kine-tls multus`),
  list: words(`tls-san cluster-cidr service-cidr cluster-dns kube-apiserver-arg etcd-arg
    kube-controller-manager-arg kube-scheduler-arg kube-cloud-controller-manager-arg disable
    kube-controller-arg kube-cloud-controller-arg`),
  text: words(`https-listen-port advertise-address advertise-port service-node-port-range cluster-domain
    flannel-backend egress-selector-mode servicelb-namespace write-kubeconfig write-kubeconfig-mode
    write-kubeconfig-group helm-job-image agent-token agent-token-file cluster-reset-restore-path
    datastore-endpoint datastore-cafile datastore-certfile datastore-keyfile etcd-snapshot-name
    etcd-snapshot-schedule-cron etcd-snapshot-retention etcd-snapshot-dir etcd-s3-endpoint etcd-s3-endpoint-ca
    etcd-s3-access-key etcd-s3-secret-key etcd-s3-session-token etcd-s3-bucket etcd-s3-bucket-lookup-type
    etcd-s3-region etcd-s3-folder etcd-s3-proxy etcd-s3-config-secret etcd-s3-timeout etcd-s3-retention
    default-local-storage-path system-default-registry secrets-encryption-provider`),
}

const SNAPSHOT = {
  boolean: words('debug alsologtostderr snapshot-compress etcd-snapshot-compress s3 etcd-s3'),
  list: [],
  text: words(`config log node-name data-dir dir etcd-snapshot-dir name server etcd-server token etcd-token
    output snapshot-retention etcd-snapshot-retention`),
}

const TOKEN = {
  boolean: [],
  list: words('groups usages'),
  text: words('data-dir kubeconfig server token new-token description ttl output config'),
}

/** One letter is another name of a flag. */
const LETTERS: Readonly<Record<string, string>> = {
  c: 'config',
  d: 'data-dir',
  i: 'node-ip',
  l: 'log',
  o: 'write-kubeconfig',
  s: 'server',
  t: 'token',
}

const VARIABLES: Readonly<Record<string, string>> = {
  token: 'K3S_TOKEN',
  'token-file': 'K3S_TOKEN_FILE',
  'agent-token': 'K3S_AGENT_TOKEN',
  'agent-token-file': 'K3S_AGENT_TOKEN_FILE',
  server: 'K3S_URL',
  'cluster-init': 'K3S_CLUSTER_INIT',
  'cluster-reset': 'K3S_CLUSTER_RESET',
  'data-dir': 'K3S_DATA_DIR',
  'node-name': 'K3S_NODE_NAME',
  'lb-server-port': 'K3S_LB_SERVER_PORT',
  'write-kubeconfig': 'K3S_KUBECONFIG_OUTPUT',
  'write-kubeconfig-mode': 'K3S_KUBECONFIG_MODE',
  'datastore-endpoint': 'K3S_DATASTORE_ENDPOINT',
  'datastore-cafile': 'K3S_DATASTORE_CAFILE',
  'datastore-certfile': 'K3S_DATASTORE_CERTFILE',
  'datastore-keyfile': 'K3S_DATASTORE_KEYFILE',
}

export type Command = 'server' | 'agent' | 'etcd-snapshot' | 'token'

const TABLES: Readonly<Record<Command, readonly Readonly<Record<FlagKind, readonly string[]>>[]>> = {
  server: [BOTH, SERVER],
  agent: [BOTH],
  'etcd-snapshot': [SNAPSHOT],
  token: [TOKEN],
}

/** The flag's full name; null where `command` has none of this name. */
export function flagNamed(command: Command, name: string): { name: string; kind: FlagKind } | null {
  const long =
    command === 'server' || command === 'agent' || name !== 'o' ? (LETTERS[name] ?? name) : 'output'
  for (const table of TABLES[command]) {
    for (const kind of ['text', 'boolean', 'list'] as const) {
      if (table[kind].includes(long)) return { name: long, kind }
    }
  }
  return null
}

/** Variables of the environment that stand for flags of `command`, as flags. */
export function flagsOfEnvironment(command: Command, env: NodeJS.ProcessEnv): string[] {
  return Object.entries(VARIABLES).flatMap(([name, variable]) => {
    const value = env[variable]
    return value === undefined || value === '' || flagNamed(command, name) === null
      ? []
      : [`--${name}=${value}`]
  })
}
