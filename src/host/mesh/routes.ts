/**
 * What `ip` says about this machine's links and routes, and what follows from it: whether the mesh's range is
 * free here, and how large the mesh's packets may be.
 */
import ipaddr from 'ipaddr.js'
import { z } from 'zod'
import { toolFailed } from './problems.ts'
import { MTU_DEFAULT, MTU_MIN } from './timing.ts'
import { runTool } from './tool.ts'

const linkSchema = z.object({
  ifname: z.string(),
  mtu: z.number().int().positive(),
  flags: z.array(z.string()),
  linkinfo: z.object({ info_kind: z.string().optional() }).optional(),
  addr_info: z.array(z.object({ family: z.string(), local: z.string().optional(), prefixlen: z.number() })),
})
export type Link = z.infer<typeof linkSchema>

const routeSchema = z.object({
  dst: z.string(),
  dev: z.string().optional(),
  /** Absent where `ip` leaves out the usual, unicast. */
  type: z.string().optional(),
  nexthops: z.array(z.object({ dev: z.string().optional() })).optional(),
})
export type Route = z.infer<typeof routeSchema>

export interface Survey {
  readonly links: readonly Link[]
  /** IPv4, table main. */
  readonly routes: readonly Route[]
}

/** Looks at all links, addresses and routes, in one run of `ip`. */
export async function survey(): Promise<Survey> {
  const outcome = await runTool('ip', ['-json', '-details', '-batch', '-'], {
    text: 'address show\nroute show table main\n',
  })
  const result = parseSurvey(outcome.stdout)
  if (result === null) throw toolFailed('ip address show', outcome.stderr)
  return result
}

export function linkNamed({ links }: Survey, name: string): Link | null {
  return links.find((link) => link.ifname === name) ?? null
}

/** Reads the output of {@link survey}'s two commands, a JSON list on a line each; null where it is not that. */
export function parseSurvey(text: string): Survey | null {
  const [links, routes] = text.split('\n').filter((line) => line.trim() !== '')
  if (links === undefined) return null
  try {
    return {
      // Releases of `ip` differ in entries that they leave out: some print an empty object for them.
      links: z
        .array(z.unknown())
        .parse(JSON.parse(links))
        .flatMap((link) => linkSchema.safeParse(link).data ?? []),
      // A namespace without any route may have no table main.
      routes: z
        .array(z.unknown())
        .parse(JSON.parse(routes ?? '[]'))
        .flatMap((route) => routeSchema.safeParse(route).data ?? []),
    }
  } catch {
    return null
  }
}

/** Whether the link holds the address with the length of the range. */
export function hasAddress(link: Link, address: string, cidr: string): boolean {
  return link.addr_info.some((entry) => entry.local === address && entry.prefixlen === lengthOf(cidr))
}

/**
 * The lines for `ip -batch` that give the link its one IPv4 address and its MTU and bring it up; none where all is
 * so. The address gets the length of the range, so that the kernel makes the range's route, with this address as
 * its source, and both go when the interface goes. `link` is null for one just made.
 */
export function linkChange(
  name: string,
  link: Link | null,
  address: string,
  cidr: string,
  mtu: number,
): string[] {
  const lines = (link?.addr_info ?? [])
    .filter(
      ({ family, local, prefixlen }) =>
        family === 'inet' && !(local === address && prefixlen === lengthOf(cidr)),
    )
    .map(({ local, prefixlen }) => `address delete ${local}/${prefixlen} dev ${name}`)
  if (link === null || link.mtu !== mtu || !link.flags.includes('UP')) {
    lines.push(`link set dev ${name} mtu ${mtu} up`)
  }
  if (link === null || !hasAddress(link, address, cidr)) {
    lines.push(`address add ${address}/${lengthOf(cidr)} dev ${name}`)
  }
  return lines
}

const lengthOf = (cidr: string): number => Number(cidr.split('/')[1])

/**
 * A route of another interface that shares addresses with the range, null where there is none. The default
 * route is no overlap: the mesh's own is more specific.
 */
export function overlap(cidr: string, routes: readonly Route[], own: string): Route | null {
  const range = ipaddr.IPv4.parseCIDR(cidr)
  const found = routes.find((route) => {
    if (devicesOf(route).includes(own)) return false
    const other = prefixOf(route)
    if (other === null || other[1] === 0) return false
    return range[1] <= other[1] ? other[0].match(range) : range[0].match(other)
  })
  return found ?? null
}

/**
 * MTU of the mesh's interface. WireGuard adds 32 bytes of its own, UDP 8, and the outer header 20 (IPv4) or 40
 * (IPv6): the MTU of the links that lead to the endpoints less 60 or 80, so that a full packet leaves in one
 * piece. Never more than the default, because only the first hop of a path can be seen here and a peer may
 * come to be reached over IPv6 later.
 */
export function meshMtu(endpoints: readonly string[], { links, routes }: Survey, own: string): number {
  const mtuOf = new Map(links.map((link) => [link.ifname, link.mtu]))
  const prefixes = routes.flatMap((route) => {
    const prefix = prefixOf(route)
    const devices = devicesOf(route)
    return prefix === null || devices.includes(own) ? [] : [{ prefix, devices }]
  })
  // IPv6 routes are not looked up: such a packet is taken to leave where IPv4's default route does.
  const fallback = prefixes.find(({ prefix }) => prefix[1] === 0)?.devices ?? []
  let mtu = MTU_DEFAULT
  for (const host of new Set(endpoints.map((endpoint) => endpoint.slice(0, endpoint.lastIndexOf(':'))))) {
    const ipv6 = host.startsWith('[')
    const address = ipv6 ? null : ipaddr.IPv4.parse(host)
    const best = prefixes
      .filter(({ prefix }) => address?.match(prefix))
      .reduce(
        (a, b) => (a === null || b.prefix[1] > a.prefix[1] ? b : a),
        null as (typeof prefixes)[0] | null,
      )
    for (const device of ipv6 ? fallback : (best?.devices ?? [])) {
      mtu = Math.min(mtu, (mtuOf.get(device) ?? 1_500) - (ipv6 ? 80 : 60))
    }
  }
  return Math.max(mtu, MTU_MIN)
}

const devicesOf = (route: Route): string[] =>
  [route.dev, ...(route.nexthops ?? []).map((hop) => hop.dev)].filter((device) => device !== undefined)

/** A route's destination, `default`, `10.0.0.0/8` or `10.0.0.1`; null where it is not IPv4. */
function prefixOf(route: Route): [ipaddr.IPv4, number] | null {
  if (route.dst === 'default') return [ipaddr.IPv4.parse('0.0.0.0'), 0]
  const text = route.dst.includes('/') ? route.dst : `${route.dst}/32`
  return ipaddr.IPv4.isValidCIDR(text) ? ipaddr.IPv4.parseCIDR(text) : null
}
