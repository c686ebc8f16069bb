/** The licences of what a bundle contains: one text with every package's name, version, terms and words. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** @param inputs files below `root` that went into the bundle */
export function licencesOf(root: string, inputs: readonly string[]): string {
  const packages = new Set(
    inputs.flatMap((path) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? []),
  )
  return [...packages]
    .sort()
    .map((path) => licenceOf(join(root, path)))
    .join(`\n${'-'.repeat(80)}\n\n`)
}

function licenceOf(directory: string): string {
  const { name, version, license } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'))
  if (typeof license !== 'string')
    throw new Error(`${name} does not say its licence: look before bundling it`)
  const words = readdirSync(directory)
    .filter((file) => /^(licen[cs]e|notice|copying)/i.test(file))
    .sort()
    .map((file) => readFileSync(join(directory, file), 'utf8').trim())
  return `${[`${name} ${version}, ${license}`, ...words].join('\n\n')}\n`
}

/** Node's own licence, of the package that brings it; its address where npm has pruned that. */
export function nodeLicence(root: string, version: string): string {
  const file = join(root, `node_modules/node/node_modules/node-linux-${process.arch}/LICENSE`)
  return existsSync(file)
    ? readFileSync(file, 'utf8')
    : `Node.js ${version}: MIT and others, see https://github.com/nodejs/node/blob/v${version}/LICENSE\n`
}
