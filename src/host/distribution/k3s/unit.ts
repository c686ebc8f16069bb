/**
 * The texts that systemd and OpenRC read. Both wait for muster's word before k3s starts: a machine that was removed,
 * cloned or restored must not start its datastore just because it was enabled once. That word, and what is said at
 * one start only, lie in /run, and are gone after a reboot.
 */
import { join } from 'node:path'
import { HEADER } from './configuration.ts'
import type { Role } from './places.ts'
import { serviceName } from './service.ts'

export interface UnitPlace {
  readonly role: Role
  readonly binary: string
  /** Role and flags. */
  readonly args: readonly string[]
  /** Environment, for this role (0600). */
  readonly environmentFile: string
  /** Ours, gone after a reboot. */
  readonly run: string
  /** Where the output goes without a journal. */
  readonly log: string
}

/** While this file is there k3s may start. */
export const permitPath = (run: string): string => join(run, 'may-run')
/** Says `MUSTER_K3S_START`: arguments for this start alone. */
export const startPath = (run: string): string => join(run, 'start.env')
export const START_VARIABLE = 'MUSTER_K3S_START'

export function systemdUnit(place: UnitPlace): string {
  const { role, binary, args, environmentFile, run } = place
  const other = role === 'server' ? 'agent' : 'server'
  const command = [binary, ...args].map(systemdWord).join(' ')
  return `${HEADER}
[Unit]
Description=Lightweight Kubernetes (${role}), kept by muster
Documentation=https://k3s.io
Wants=network-online.target
After=network-online.target muster.service
Conflicts=${serviceName(other)}.service

[Service]
Type=${role === 'server' ? 'notify' : 'exec'}
EnvironmentFile=-${environmentFile}
EnvironmentFile=-${startPath(run)}
KillMode=process
Delegate=yes
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
TimeoutStartSec=0
Restart=always
RestartSec=5s
ExecStartPre=/bin/sh -c 'until [ -e ${permitPath(run)} ]; do sleep 1; done'
ExecStartPre=-/sbin/modprobe br_netfilter
ExecStartPre=-/sbin/modprobe overlay
ExecStart=${command} $${START_VARIABLE}

[Install]
WantedBy=multi-user.target
`
}

export function openrcScript(place: UnitPlace): string {
  const { role, binary, args, environmentFile, run, log } = place
  return `#!/sbin/openrc-run
${HEADER}
description="Lightweight Kubernetes (${role}), kept by muster"
supervisor=supervise-daemon
command=${shellWord(binary)}
output_log=${shellWord(log)}
error_log=${shellWord(log)}
pidfile="/run/${serviceName(role)}.pid"
respawn_delay=5
respawn_max=0
set -o allexport
[ -r ${shellWord(environmentFile)} ] && . ${shellWord(environmentFile)}
[ -r ${shellWord(startPath(run))} ] && . ${shellWord(startPath(run))}
set +o allexport
command_args="${[...args].map(shellWord).map(withinQuotes).join(' ')} \${${START_VARIABLE}}"

depend() {
    need net
    use dns muster
    want cgroups
}

start_pre() {
    until [ -e ${shellWord(permitPath(run))} ]; do sleep 1; done
}
`
}

/** For both: each reads a file of assignments, with double quotes and the shell's escapes in them. */
export const environmentText = (environment: Readonly<Record<string, string>>): string =>
  `${HEADER}\n${Object.entries(environment)
    .map(([name, value]) => `${name}="${value.replace(/[\\"`$]/g, '\\$&').replace(/\n/g, ' ')}"\n`)
    .join('')}`

/** One word of ExecStart (systemd.service(5)): `%` and `$` stand for more than themselves. */
function systemdWord(word: string): string {
  const escaped = word.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/%/g, '%%').replace(/\$/g, '$$$$')
  return /^[\w@%+=:,./-]+$/.test(word) ? escaped : `"${escaped}"`
}

const shellWord = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replace(/'/g, `'\\''`)}'`

const withinQuotes = (text: string): string => text.replace(/[\\"`$]/g, '\\$&')
