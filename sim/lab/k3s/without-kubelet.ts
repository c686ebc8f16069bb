/** A server of k3s alone: without kubelet and containers, which a machine in namespaces cannot always hold. */
export const WITHOUT_KUBELET: readonly string[] = [
  '--disable-agent',
  '--flannel-backend=none',
  '--disable-network-policy',
  '--egress-selector-mode=cluster',
  '--disable=traefik,coredns,metrics-server,local-storage,servicelb',
]
