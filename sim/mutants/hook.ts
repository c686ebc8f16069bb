/** Changes the core while it is loaded, as MUSTER_MUTANT says. */
import { registerHooks } from 'node:module'
import { mutants } from './list.ts'
import { patchesOf } from './mutant.ts'

const mutant = mutants.find(({ name }) => name === process.env.MUSTER_MUTANT)
if (mutant === undefined) throw new Error('MUSTER_MUTANT names no mutant')

const patches = patchesOf(mutant)

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context)
    const here = patches.filter(({ file }) => url.endsWith(`/src/core/${file}`))
    if (here.length === 0) return loaded
    const { source } = loaded
    let text = typeof source === 'string' ? source : new TextDecoder().decode(source as Uint8Array)
    for (const { from, to } of here) text = text.replace(from, () => to)
    return { ...loaded, source: text }
  },
})
