/** Changes one file of the core while it is loaded, as MUSTER_MUTANT says. */
import { registerHooks } from 'node:module'
import { mutants } from './list.ts'

const mutant = mutants.find(({ name }) => name === process.env.MUSTER_MUTANT)
if (mutant === undefined) throw new Error('MUSTER_MUTANT names no mutant')

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context)
    if (!url.endsWith(`/src/core/${mutant.file}`)) return loaded
    const { source } = loaded
    const text = typeof source === 'string' ? source : new TextDecoder().decode(source as Uint8Array)
    const changed = text.replace(mutant.from, () => mutant.to)
    const { also } = mutant
    return { ...loaded, source: also === undefined ? changed : changed.replace(also.from, () => also.to) }
  },
})
